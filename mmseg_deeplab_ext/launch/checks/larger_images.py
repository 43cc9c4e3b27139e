"""Images that an evaluation sees at a size the network was not meant for."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmseg_deeplab_ext.launch.checks.loaded_checkpoint import segmentor_in


class LargerImagesHook(Hook):
    """Say once that an image is larger than the config's evaluation crop.

    TensorFlow's ``eval.py`` fails on such an image; here it is evaluated as it is. Sliding windows
    have the crop's size whatever the image's, and of the copies that MMSegmentation's
    ``TestTimeAug`` makes some are larger by intention: both are left alone.
    """

    def __init__(self) -> None:
        self._said = False

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look at the sizes of a batch, until one is larger."""
        segmentor = segmentor_in(runner.model)
        crop = (getattr(segmentor.data_preprocessor, "test_cfg", None) or {}).get("size")
        mode = (getattr(segmentor, "test_cfg", None) or {}).get("mode")
        if self._said or crop is None or mode == "slide":
            return
        for image, sample in zip(data_batch["inputs"], data_batch["data_samples"]):
            # The copies of TestTimeAug come as lists.
            height, width = image.shape[-2:] if isinstance(image, Tensor) else (0, 0)
            if height > crop[0] or width > crop[1]:
                runner.logger.info(
                    f"{sample.get('img_path')} ({height} x {width}) is larger than "
                    f"model.data_preprocessor.test_cfg.size={tuple(crop)}; such images are "
                    "evaluated as they are, where TensorFlow's eval.py fails. Raise that size, or "
                    "resize the images in the test pipeline."
                )
                self._said = True
                return
