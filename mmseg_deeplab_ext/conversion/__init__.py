"""TensorFlow's variables as state dicts and configs, and back; ``tf://`` and ``.pth``."""
