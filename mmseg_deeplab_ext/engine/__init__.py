"""What configs name and MMEngine and MMSegmentation lack: hooks, wrappers, constructors."""

from mmseg_deeplab_ext.engine.amp import CpuAmpOptimWrapper
from mmseg_deeplab_ext.engine.batch_norm import FirstProcessBuffersHook, FreezeBatchNormHook
from mmseg_deeplab_ext.engine.batch_size import GlobalBatchSizeHook
from mmseg_deeplab_ext.engine.last_layer import LastLayerOptimWrapperConstructor
from mmseg_deeplab_ext.engine.stop_at_divergence import StopAtDivergenceHook

__all__ = [
    "CpuAmpOptimWrapper",
    "FirstProcessBuffersHook",
    "FreezeBatchNormHook",
    "GlobalBatchSizeHook",
    "LastLayerOptimWrapperConstructor",
    "StopAtDivergenceHook",
]
