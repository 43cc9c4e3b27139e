"""A trained segmentor as an ONNX file with the interface of TensorFlow DeepLab's export."""

from mmseg_deeplab_ext.errors import ExportError
from mmseg_deeplab_ext.export.onnx_file import Exported, export_onnx
from mmseg_deeplab_ext.layers.resize_range import ResizeRange

__all__ = ["ExportError", "Exported", "ResizeRange", "export_onnx"]
