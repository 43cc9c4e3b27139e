"""From an image file to what a segmentor takes, through the config's own test pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.config_view import step_name
from mmseg_deeplab_ext.datasets.image_files import UNDECODABLE, fault_of
from mmseg_deeplab_ext.errors import ConfigError, ImageFileError, UnreadableImageError
from mmseg_deeplab_ext.inference.config import test_pipeline
from mmseg_deeplab_ext.launch.checked_loading import checked_steps


@dataclass(frozen=True)
class Prepared:
    """An image on its way to the segmentor.

    Attributes:
        inputs: Tensor (channels, height, width), as the pipeline packed it.
        sample: MMSegmentation's data sample; ``ori_shape`` is the size of the image file.
        image: The image file as it was loaded: (height, width[, channels]), grey or BGR.
    """

    inputs: Any
    sample: Any
    image: np.ndarray

    def rgb(self) -> np.ndarray:
        """The image in 8 bits of red, green and blue, (height, width, 3)."""
        image = np.atleast_3d(self.image)[..., :3].clip(0, 255).astype(np.uint8, copy=False)
        return np.ascontiguousarray(np.broadcast_to(image[..., ::-1], (*image.shape[:2], 3)))


class Preparation:
    """The test pipeline of a config without its annotations.

    Images are decoded by the config's own loading step, so predictions are those of
    ``tools/test.py``: greyscale, 16 bits and CMYK become 8 bits of three channels, transparency is
    ignored, and the orientation in EXIF data is applied as viewers do.

    Args:
        cfg: A whole config. The pipeline is the one of its test data set, or ``test_pipeline``.
        fit: (height, width) into which larger images are shrunk, keeping their aspect ratio.

    Raises:
        ConfigError: There is no test pipeline, or it does not load and pack an image.
    """

    def __init__(self, cfg: Config, *, fit: tuple[int, int] | None = None) -> None:
        pipeline = test_pipeline(cfg)
        if not pipeline:
            raise ConfigError(
                f"{cfg.filename} has no test pipeline: neither test_dataloader.dataset.pipeline "
                "nor test_pipeline is set. Add `test_pipeline = [dict(type='LoadImageFromFile'), "
                "dict(type='PackSegInputs')]` to the config."
            )
        steps = [step for step in pipeline if "Annotation" not in step_name(step)]
        names = [step_name(step) for step in steps]
        if len(names) < 2 or "Load" not in names[0] or names[-1] != "PackSegInputs":
            raise ConfigError(
                "The test pipeline must start with a step that loads the image and end with "
                f"PackSegInputs; that of {cfg.filename} is {', '.join(names) or 'empty'}."
            )
        with building("test pipeline"):
            self._load, self._change, self._pack = (
                Compose(part) for part in (checked_steps(steps[:1]), steps[1:-1], steps[-1:])
            )
        self._fit = fit

    def __call__(self, path: Path) -> Prepared:
        """Prepare one file; an UnreadableImageError says why it can't be."""
        loaded = _load(self._load, path)
        try:
            return self._finish(loaded)
        # Steps may be anyone's, and raise whatever they like about one image, such as a thin one.
        except Exception as error:
            reason = f"the test pipeline fails on it ({_in_one_line(error, path)})"
            raise UnreadableImageError(reason) from error

    def _finish(self, loaded: dict[str, Any]) -> Prepared:
        image = loaded["img"]  # steps below put a new array in its place
        results = self._change(loaded)
        # In TensorFlow's evaluation the resized image counts as the original one.
        results["ori_shape"] = image.shape[:2]
        if self._fit is not None:
            _shrink(results, self._fit)
        packed = self._pack(results)
        return Prepared(packed["inputs"], packed["data_samples"], image)


def _load(step: Callable[[dict], dict | None], path: Path) -> dict[str, Any]:
    try:
        fault = fault_of(path.read_bytes())
        results = None if fault else step({"img_path": str(path)})
    # The decoders raise whatever they like (cv2.error, OSError, SyntaxError, AssertionError).
    except Exception as error:
        raise UnreadableImageError(_reason(error, path)) from error
    if results is None:  # not tried, or ignore_empty
        raise UnreadableImageError(fault or UNDECODABLE)
    return results


def _reason(error: Exception, path: Path) -> str:
    """Why a file can't be read, in the words of whoever met the cause, without its internals."""
    cause = error.__cause__ or error  # `CheckedLoadImageFromFile` puts a text of its own around it
    if isinstance(cause, ImageFileError):
        return str(cause)
    if isinstance(cause, AssertionError):  # MMCV's, where OpenCV returns nothing
        return UNDECODABLE
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, cv2.error) and cause.err:
        return f"OpenCV refuses it ({cause.err})"
    return f"it can't be decoded ({_in_one_line(cause, path)})"


def _in_one_line(error: BaseException, path: Path) -> str:
    message = str(error).replace(str(path), "the file")
    return " ".join(f"{type(error).__name__}: {message}".split())


def _shrink(results: dict[str, Any], fit: tuple[int, int]) -> None:
    """Make ``results["img"]`` fit into (height, width), if it is larger."""
    height, width = results["img"].shape[:2]
    ratio = min(fit[0] / height, fit[1] / width)
    if ratio >= 1:
        return
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    # "area" averages what it shrinks; bilinear samples it, and fine patterns alias.
    results["img"] = mmcv.imresize(results["img"], size, interpolation="area")
    results["img_shape"] = results["img"].shape[:2]
