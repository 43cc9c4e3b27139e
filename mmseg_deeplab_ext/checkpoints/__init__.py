"""TensorFlow checkpoints in PyTorch's terms."""
