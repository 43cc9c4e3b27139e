"""Loading transforms that name the file, what it holds and what is allowed when data is bad.

They give the same results as MMCV's `LoadImageFromFile` and MMSegmentation's `LoadAnnotations` on
good data. On bad data those two fail late or not at all: labels are cast to 8 bits, so that a
value of 256 becomes background, and a class that the model lacks shows up as an index error on
the device, thousands of iterations later, without the name of the file.
"""

from __future__ import annotations

from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

from mmseg_deeplab_ext.errors import ConfigError, DatasetError
from mmseg_deeplab_ext.registry import TRANSFORMS
from mmseg_deeplab_ext.wording import listed


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(LoadImageFromFile):
    """Load an image, as `mmcv.transforms.LoadImageFromFile` does; name the file that can't be.

    Takes the same arguments, needs the key ``img_path`` and sets ``img``, ``img_shape`` and
    ``ori_shape``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load the image ``results["img_path"]``: (height, width, 3), BGR.

        Returns:
            The sample; None for an image that can't be read where ``ignore_empty`` is set.

        Raises:
            DatasetError: The file is missing, or not an image that can be decoded.
        """
        try:
            return super().transform(results)
        # The decoders raise whatever they like (cv2.error, OSError, SyntaxError, AssertionError).
        except Exception as error:
            raise DatasetError(_unreadable("image", results["img_path"], error)) from error


@TRANSFORMS.register_module()
class CheckedLoadAnnotations(LoadAnnotations):
    """Load a label map, as MMSegmentation's `LoadAnnotations` does, and check it.

    Needs the keys ``seg_map_path``, ``reduce_zero_label``, ``seg_fields`` and, if there,
    ``label_map`` and ``ori_shape``; sets ``gt_seg_map``, (height, width), uint8.

    Args:
        num_classes: Number of classes the model tells apart. After ``reduce_zero_label`` and
            ``label_map`` every label value must be below it, or be ``ignore_index``.
        ignore_index: Label value of pixels that do not count. MMSegmentation writes 255 for what
            ``reduce_zero_label`` and ``label_map`` leave out.
        **kwargs: MMSegmentation's own arguments.
    """

    def __init__(self, *, num_classes: int, ignore_index: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= num_classes <= 256:
            raise ConfigError(
                f"CheckedLoadAnnotations: num_classes is {num_classes}; label maps of 8 bits hold "
                "1 to 256 classes."
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        """Load ``results["seg_map_path"]`` into ``results["gt_seg_map"]``."""
        path = results["seg_map_path"]
        stored = self._decode(path)
        self._check_form(stored, path, image_shape=results.get("ori_shape"))
        values = _as_bytes(stored, path)
        meaning = self._meaning_of_values(results)
        labels = values if meaning is None else np.take(meaning, values)
        wrong = (labels >= self.num_classes) & (labels != self.ignore_index)
        if wrong.any():
            raise DatasetError(self._wrong_values(values[wrong], labels[wrong], path=path))
        results["gt_seg_map"] = labels
        results["seg_fields"].append("gt_seg_map")

    def _decode(self, path: str) -> np.ndarray:
        """Read the file as it is: palette indices, 16 bits or channels and all."""
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            stored = mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend)
        # The decoders raise whatever they like (cv2.error, OSError, SyntaxError, ValueError).
        except Exception as error:
            raise DatasetError(_unreadable("label map", path, error)) from error
        if stored is None:
            raise DatasetError(_unreadable("label map", path, None))
        # Greyscale may come with an axis of one channel; other axes of length 1 are sizes.
        return stored[..., 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored

    def _check_form(self, stored: np.ndarray, path: str, *, image_shape: Any) -> None:
        """Demand one whole number per pixel of the image."""
        if stored.ndim != 2 or stored.dtype.kind not in "bui":
            used = f"imdecode_backend={self.imdecode_backend!r}"
            hint = f" ({used} turns palette images into colours; 'pillow' does not)"
            hint = "" if self.imdecode_backend == "pillow" else hint
            raise DatasetError(
                f"{path}: a label map holds one whole number per pixel, but this file holds an "
                f"array of shape {stored.shape} and type {stored.dtype}. Convert it to a palette "
                f"or greyscale image whose pixel values are the class numbers{hint}."
            )
        if image_shape is not None and tuple(image_shape[:2]) != stored.shape:
            raise DatasetError(
                f"{path}: the label map is {stored.shape[1]}x{stored.shape[0]} pixels (width x "
                f"height), its image is {image_shape[1]}x{image_shape[0]}; they must be equal."
            )

    def _meaning_of_values(self, results: dict[str, Any]) -> np.ndarray | None:
        """What each stored value, 0 to 255, stands for: the rules of `LoadAnnotations`.

        None where every value stands for itself.
        """
        if self.reduce_zero_label is None:
            self.reduce_zero_label = results["reduce_zero_label"]
        if self.reduce_zero_label != results["reduce_zero_label"]:
            raise ConfigError(
                f"reduce_zero_label is {self.reduce_zero_label} in CheckedLoadAnnotations and "
                f"{results['reduce_zero_label']} in the data set; set it in the data set only."
            )
        label_map = results.get("label_map")
        if not self.reduce_zero_label and label_map is None:
            return None
        meaning = np.arange(256, dtype=np.uint8)
        if self.reduce_zero_label:
            meaning = np.r_[255, np.arange(254), 255].astype(np.uint8)
        mapped = meaning.copy()
        for old, new in (label_map or {}).items():
            mapped[meaning == old] = new
        return mapped

    def _wrong_values(self, stored: np.ndarray, labels: np.ndarray, *, path: str) -> str:
        """Say which values of a file are wrong, as they are stored and as they are understood."""
        pairs = np.unique(np.stack([stored, labels], axis=1), axis=0).tolist()
        values = [
            f"{value}" if value == label else f"{value} (which becomes {label})"
            for value, label in pairs
        ]
        return (
            f"{path}: label values {listed(values, most=8)} are none of the {self.num_classes} "
            f"classes. Allowed after reduce_zero_label and label_map: 0 to {self.num_classes - 1}, "
            f"and {self.ignore_index} for pixels to ignore. Either the file is wrong, or "
            "num_classes (in the pipeline and in every head) and the data set's classes are."
        )

    def __repr__(self) -> str:
        return (
            f"{super().__repr__()[:-1]}, num_classes={self.num_classes}, "
            f"ignore_index={self.ignore_index})"
        )


def _as_bytes(stored: np.ndarray, path: str) -> np.ndarray:
    """The label map as uint8; a value that does not fit is an error."""
    if stored.dtype != np.uint8 and stored.dtype.kind != "b":
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 255:
            raise DatasetError(
                f"{path}: label values go from {low} to {high}; MMSegmentation's label maps hold "
                "0 to 255."
            )
    return stored.astype(np.uint8, copy=False)


def _unreadable(kind: str, path: str, error: Exception | None) -> str:
    reason = f" ({type(error).__name__}: {error})" if error is not None else ""
    return (
        f"{path}: this {kind} can't be read{reason}. Is the file there, complete, and of a type "
        "that the decoder knows? Fetch it again, or take its name off the list of the split."
    )
