"""Building blocks with TensorFlow's arithmetic."""

from mmseg_deeplab_ext.layers.batch_norm import FUSED_BATCH_NORM_EPS, tf_norm_cfg
from mmseg_deeplab_ext.layers.output_stride import UnitGeometry, walk_output_stride
from mmseg_deeplab_ext.layers.same_padding import max_pool_3x3_stride_2_same

__all__ = [
    "FUSED_BATCH_NORM_EPS",
    "UnitGeometry",
    "max_pool_3x3_stride_2_same",
    "tf_norm_cfg",
    "walk_output_stride",
]
