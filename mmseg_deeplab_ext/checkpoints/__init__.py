"""TensorFlow's checkpoint files and the model zoo, as arrays; needs NumPy and crc32c alone."""

from mmseg_deeplab_ext.checkpoints.reader import Checkpoint, open_checkpoint
from mmseg_deeplab_ext.errors import CheckpointError

__all__ = ["Checkpoint", "CheckpointError", "open_checkpoint"]
