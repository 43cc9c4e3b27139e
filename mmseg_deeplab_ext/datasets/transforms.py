"""TensorFlow DeepLab's transforms that MMCV and MMSegmentation lack: both resize, aligned.

The rest of the official training pipeline (deeplab/input_preprocess.py) is MMCV's `RandomFlip`.
Images become float32, since TensorFlow does not round what it has resized.
"""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg_deeplab_ext.config_values import is_number, is_whole, whole_numbers
from mmseg_deeplab_ext.datasets.aligned_resize import resize_bilinear, resize_nearest
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.resize_range import ResizeRange
from mmseg_deeplab_ext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomScaleCrop(BaseTransform):
    """Scale image and labels by a random ratio, pad them to the crop size, crop them at random.

    These are TensorFlow's steps of that name (deeplab/core/preprocess_utils.py), in its order:
    ``--min_scale_factor``, ``--max_scale_factor``, ``--scale_factor_step_size`` and
    ``--train_crop_size``. Images are resized bilinearly, labels by their nearest neighbour, both
    with aligned corners; sizes are rounded down; the padding is at the bottom and the right.

    It equals scaling the whole image and applying MMCV's `Pad` and MMSegmentation's `RandomCrop`,
    of the same seed, but computes only what the crop shows: several times as fast for large images.
    Padding after the flip, in the data preprocessor, would not be the same: in flipped images
    TensorFlow's padding lies on the left.

    Needs the key ``img``; the keys in ``seg_fields`` are labels. Changes them, and sets
    ``img_shape``, ``scale`` and ``scale_factor``.

    Args:
        crop_size: Height and width.
        ratio_range: Smallest and largest ratio.
        step: Step between the ratios, all of which are equally likely. As in TensorFlow, a step
            that does not lead from one end to the other is enlarged until it does. 0 draws from the
            whole range.
        pad_val: Values of the padding: ``img``, a number or one per channel (in the order of the
            image: blue first), and ``seg``; a number alone is ``img``'s. The default is the mean
            pixel of all networks but the plain ResNet-50 and -101 (feature_extractor.mean_pixel)
            and label 255.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        *,
        ratio_range: tuple[float, float] = (0.5, 2.0),
        step: float = 0.25,
        pad_val: float | Mapping[str, Any] = 127.5,
    ):
        self.crop_size = whole_numbers("RandomScaleCrop: crop_size", crop_size, minimum=1, count=2)
        self._ratios = _discrete_ratios(ratio_range, step)
        self.ratio_range = tuple(ratio_range)
        self.step = step
        given = pad_val if isinstance(pad_val, Mapping) else {"img": pad_val}
        self.pad_val = {"img": 127.5, "seg": 255, **given}
        values = [np.asarray(value) for value in self.pad_val.values()]
        if len(values) != 2 or any(value.dtype.kind not in "uif" for value in values):
            raise ConfigError(
                f"RandomScaleCrop: pad_val is {pad_val!r}; expected numbers for img and seg, such "
                "as dict(img=127.5, seg=255)."
            )
        if not is_whole(self.pad_val["seg"], minimum=0) or self.pad_val["seg"] > 255:
            raise ConfigError(
                f"RandomScaleCrop: pad_val['seg'] is {self.pad_val['seg']!r}; labels have 8 bits: "
                "expected a whole number from 0 to 255."
            )

    @cache_randomness
    def _random_ratio(self) -> np.float32:
        """Draw a ratio; inside `TransformBroadcaster` once for all images."""
        if len(self._ratios):
            return self._ratios[np.random.randint(len(self._ratios))]
        return np.float32(np.random.uniform(*self.ratio_range))

    @cache_randomness
    def _random_offset(self, size: tuple[int, int]) -> list[int]:
        """Draw the upper left corner of the crop in an image of ``size``, as `RandomCrop` does."""
        margins = (max(side - crop, 0) for side, crop in zip(size, self.crop_size))
        return [np.random.randint(0, margin + 1) for margin in margins]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Scale, pad and crop ``img``, (height, width[, channels]), and the labels of a sample."""
        old = results["img"].shape[:2]
        ratio = self._random_ratio()
        # TensorFlow fails on images that vanish; one pixel remains of them here.
        size = tuple(max(1, int(np.float32(side) * ratio)) for side in old)
        window = tuple(
            slice(start, min(start + crop, side))
            for start, crop, side in zip(self._random_offset(size), self.crop_size, size)
        )
        image = resize_bilinear(results["img"], size, window=window)
        results["img"] = self._padded(image, self.pad_val["img"])
        for key in results.get("seg_fields", []):
            labels = resize_nearest(results[key], size, window=window)
            results[key] = self._padded(labels, self.pad_val["seg"])
        _say_sizes(results, old=old, scaled=size, shape=self.crop_size)
        return results

    def _padded(self, image: np.ndarray, value: Any) -> np.ndarray:
        height, width = image.shape[:2]
        if (height, width) == self.crop_size:
            return image
        if np.shape(value) not in ((), image.shape[2:]):
            raise ConfigError(
                f"RandomScaleCrop: pad_val is {self.pad_val}, but an array to pad has the shape "
                f"{image.shape}; expected a number, or one per channel."
            )
        padded = np.empty((*self.crop_size, *image.shape[2:]), image.dtype)
        padded[height:] = value
        padded[:height, width:] = value
        padded[:height, :width] = image
        return padded

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(crop_size={self.crop_size}, ratio_range={self.ratio_range}, "
            f"step={self.step}, pad_val={self.pad_val})"
        )


@TRANSFORMS.register_module()
class ResizeToRange(BaseTransform):
    """Resize the shorter side to a length, unless the longer one becomes too long.

    TensorFlow's ``resize_to_range`` (deeplab/core/preprocess_utils.py): ``--min_resize_value``,
    ``--max_resize_value`` and ``--resize_factor``. Images are resized bilinearly and become
    float32, labels by their nearest neighbour, both with aligned corners.

    Needs the key ``img``; the keys in ``seg_fields`` are labels. Changes them, and sets
    ``img_shape``, ``scale`` and ``scale_factor``.

    Args:
        scale: Length of the shorter side.
        max_size: Greatest length of the longer side; None for any.
        factor: Make both lengths a multiple of it plus one: usually the output stride. None leaves
            them.
        as_original: Let the resized image count as the original one (``ori_shape``): predictions
            get its size and are compared with labels that were loaded, and so resized, before. So
            does TensorFlow's evaluation. Otherwise MMSegmentation brings predictions back to the
            size of the file.
    """

    def __init__(
        self,
        scale: int,
        *,
        max_size: int | None = None,
        factor: int | None = None,
        as_original: bool = False,
    ):
        self.range = ResizeRange(scale, max_size, factor)
        self.as_original = as_original

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize ``img``, (height, width[, channels]), and the labels of a sample."""
        old = results["img"].shape[:2]
        size = tuple(self.range.size(torch.tensor(old)).tolist())
        results["img"] = resize_bilinear(results["img"], size)
        for key in results.get("seg_fields", []):
            results[key] = resize_nearest(results[key], size)
        _say_sizes(results, old=old, scaled=size, shape=size)
        if self.as_original:
            results["ori_shape"] = size
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(scale={self.range.scale}, max_size={self.range.max_size}, "
            f"factor={self.range.factor}, as_original={self.as_original})"
        )


def _say_sizes(results: dict, *, old: tuple, scaled: tuple, shape: tuple) -> None:
    """Say in a sample how it was resized, as MMCV's `Resize` does (width first), and its shape."""
    results["img_shape"] = shape
    results["scale"] = scaled[::-1]
    results["scale_factor"] = (scaled[1] / old[1], scaled[0] / old[0])


def _discrete_ratios(ratio_range: Any, step: Any) -> np.ndarray:
    """All ratios to choose from; none where the whole range counts."""
    pair = isinstance(ratio_range, (tuple, list)) and len(ratio_range) == 2
    good = pair and all(is_number(ratio, above=0) for ratio in ratio_range)
    if not good or ratio_range[0] > ratio_range[1]:
        raise ConfigError(
            f"RandomScaleCrop: ratio_range is {ratio_range!r}; expected the smallest and the "
            "largest ratio, both above 0, such as (0.5, 2.0)."
        )
    if step != 0 and not is_number(step, above=0):
        raise ConfigError(
            f"RandomScaleCrop: step is {step!r}; expected a number above 0, such as 0.25, or 0 to "
            "draw from the whole range."
        )
    low, high = ratio_range
    count = int((high - low) / step + 1) if step else 0
    return np.linspace(low, high, count, dtype=np.float32)
