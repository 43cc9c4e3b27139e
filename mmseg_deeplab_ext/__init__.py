"""Google's DeepLab, written for TensorFlow, inside MMSegmentation 1.x.

Importing this package is cheap and needs none of PyTorch, MMEngine, MMCV and MMSegmentation. The
names below are imported from their modules when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that has it.
_MODULE_OF = {
    "AtrousBackbone": "backbones",
    "MobileNetEdgeTPU": "backbones",
    "MobileNetV2": "backbones",
    "MobileNetV3": "backbones",
    "ResNetV1": "backbones",
    "ResNetV1Beta": "backbones",
    "TorchvisionMobileNetV3": "backbones",
    "VGG16": "backbones",
    "Xception": "backbones",
    "DeepLabV3PlusHead": "decode_heads",
    "FCNSkipHead": "decode_heads",
    "TorchvisionDeepLabV3Head": "decode_heads",
    "TorchvisionLRASPPHead": "decode_heads",
    "UNetHead": "decode_heads",
    "CheckedLoadAnnotations": "datasets.loading",
    "CheckedLoadImageFromFile": "datasets.loading",
    "RandomScaleCrop": "datasets.transforms",
    "ResizeToRange": "datasets.transforms",
    "CpuAmpOptimWrapper": "engine",
    "DeepLabCrossEntropyLoss": "losses",
    "DeepLabTTAModel": "segmentors",
    "FirstProcessBuffersHook": "engine",
    "FreezeBatchNormHook": "engine",
    "GlobalBatchSizeHook": "engine",
    "LastLayerOptimWrapperConstructor": "engine",
    "StopAtDivergenceHook": "engine",
    "check_environment": "compat",
    "load_plugins": "plugins",
    "require_environment": "compat",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
