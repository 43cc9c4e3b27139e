"""Building blocks with TensorFlow's arithmetic."""

from mmseg_deeplab_ext.layers.batch_norm import tf_norm_cfg
from mmseg_deeplab_ext.layers.output_stride import UnitGeometry, walk_output_stride
from mmseg_deeplab_ext.layers.same_padding import conv_same_module, max_pool_3x3_stride_2_same

__all__ = [
    "UnitGeometry",
    "conv_same_module",
    "max_pool_3x3_stride_2_same",
    "tf_norm_cfg",
    "walk_output_stride",
]
