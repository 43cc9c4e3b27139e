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

from mmseg_deeplab_ext.datasets.image_files import (
    UNDECODABLE,
    decode_image,
    fault_of,
    lossy_format,
    orientation_of,
)
from mmseg_deeplab_ext.errors import ConfigError, DatasetError, ImageFileError
from mmseg_deeplab_ext.registry import TRANSFORMS
from mmseg_deeplab_ext.wording import listed


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(LoadImageFromFile):
    """Load an image, as `mmcv.transforms.LoadImageFromFile` does; name the file that can't be.

    Cut-off JPEGs, videos, and files of 16 bits whose values fill 12 or fewer can't be, whatever the
    decoder does with them. The transparency of TIFFs is ignored, as that of PNGs is.

    Takes the same arguments, needs the key ``img_path`` and sets ``img``, ``img_shape`` and
    ``ori_shape``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load the image ``results["img_path"]``: (height, width, 3), BGR.

        Returns:
            The sample; None for an image that can't be read where ``ignore_empty`` is set.

        Raises:
            DatasetError: The file is missing, or not an image that can be decoded; the reason
                (its cause) is an ImageFileError where no decoder is needed to know it.
        """
        path = results["img_path"]
        try:
            image = decode_image(
                self._content(path), color_type=self.color_type, backend=self.imdecode_backend
            )
        # The decoders raise whatever they like (cv2.error, OSError, SyntaxError, AssertionError).
        except Exception as error:
            if self.ignore_empty:
                return None
            raise DatasetError(_unreadable("image", path, error)) from error
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results

    def _content(self, path: str) -> bytes:
        if self.file_client_args is not None:  # MMCV's older way to name a storage
            return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        return fileio.get(path, backend_args=self.backend_args)


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
        self._check_form(stored, path)
        self._check_size(stored.shape, results)
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
            fault = fault_of(content)
            if fault:
                raise ImageFileError(fault)
            stored = mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend)
        # The decoders raise whatever they like (cv2.error, OSError, SyntaxError, ValueError).
        except Exception as error:
            raise DatasetError(_unreadable("label map", path, error)) from error
        lossy = lossy_format(content)
        if lossy:
            raise DatasetError(
                f"{path}: label maps in a lossy format ({lossy}) do not have the values that were "
                "saved, along every edge. Make it again from its source, as PNG; converting this "
                "file brings nothing back."
            )
        if stored is None:
            raise DatasetError(_unreadable("label map", path, ImageFileError(UNDECODABLE)))
        # Greyscale may come with an axis of one channel; other axes of length 1 are sizes.
        return stored[..., 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored

    def _check_form(self, stored: np.ndarray, path: str) -> None:
        """Demand one whole number per pixel."""
        if stored.ndim != 2 or stored.dtype.kind not in "bui":
            used = f"imdecode_backend={self.imdecode_backend!r}"
            hint = f" ({used} turns palette images into colours; 'pillow' does not)"
            hint = "" if self.imdecode_backend == "pillow" else hint
            raise DatasetError(
                f"{path}: a label map holds one whole number per pixel, but this file holds an "
                f"array of shape {stored.shape} and type {stored.dtype}. Convert it to a palette "
                f"or greyscale image whose pixel values are the class numbers{hint}."
            )

    def _check_size(self, size: tuple[int, int], results: dict[str, Any]) -> None:
        """Demand a label for every pixel of the image; if EXIF data is the cause, say so."""
        wanted = tuple((results.get("ori_shape") or size)[:2])
        if wanted == size:
            return
        cure = "make it again from the image, at its size (nearest neighbour if it is resized)."
        image = results.get("img_path")
        if image is not None and wanted == size[::-1]:
            turned = orientation_of(fileio.get(image, backend_args=self.backend_args))
            cure = exif_cure(turned) if turned > 1 else cure
        raise DatasetError(
            f"{results['seg_map_path']}: the label map is {size[1]}x{size[0]} pixels (width x "
            f"height), its image is {wanted[1]}x{wanted[0]}; they must be equal: {cure}"
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


def exif_cure(orientation: int) -> str:
    """What to do about an image that is turned when it is loaded, and a label map that is not."""
    return (
        f"EXIF orientation {orientation} turns the image when it is loaded, but no label map. "
        "Where labels belong to the pixels as stored, remove it (exiftool -Orientation= FILE), or "
        "set color_type='color_ignore_orientation' in every LoadImageFromFile."
    )


def _unreadable(kind: str, path: str, error: Exception) -> str:
    known = isinstance(error, ImageFileError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    return (
        f"{path}: this {kind} can't be read ({reason}). Is the file there, complete, and of a type "
        "that the decoder knows? Fetch it again, or take its name off the list of the split."
    )
