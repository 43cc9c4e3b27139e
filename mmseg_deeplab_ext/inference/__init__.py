"""From images to labels, once for prediction, export and evaluation."""
