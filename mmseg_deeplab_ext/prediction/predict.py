"""Predict many images with one segmentor."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_deeplab_ext.engine.notes import config_notes
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.prediction.batches import ahead, batches
from mmseg_deeplab_ext.prediction.errors import UnreadableImageError
from mmseg_deeplab_ext.prediction.modes import crop_of, use_mode
from mmseg_deeplab_ext.prediction.network import load_network
from mmseg_deeplab_ext.prediction.outputs import Outputs
from mmseg_deeplab_ext.prediction.pictures import Picture, find_pictures
from mmseg_deeplab_ext.prediction.preparation import Preparation, Prepared
from mmseg_deeplab_ext.progress import ProgressLine

_THREADS = min(8, os.cpu_count() or 1)
"""Threads that decode and encode: from some on, Python's lock is what they wait for."""


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        mode: See :func:`mmseg_deeplab_ext.prediction.modes.use_mode`.
        batch_size: Images per forward pass; those of one pass have equal (padded) sizes.
        device: As PyTorch names it; by default the GPU if there is one, else the CPU.
        amp: Compute in float16 on a GPU, in bfloat16 on a CPU.
    """

    mode: str | None = None
    batch_size: int = 1
    device: str | None = None
    amp: bool = False


@dataclass
class Report:
    """What came of it.

    Attributes:
        predicted: Number of images predicted.
        seconds: Time from the first image read to the last file written.
        device: Where the segmentor ran.
        failures: Image files that could not be predicted, and why.
        larger: Images predicted whole that are larger than the config's crop.
        crop: That crop, (height, width).
    """

    predicted: int = 0
    seconds: float = 0.0
    device: str = ""
    failures: dict[Path, str] = field(default_factory=dict)
    larger: list[Path] = field(default_factory=list)
    crop: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Loaded:
    """A picture on the device.

    Attributes:
        picture: Which one.
        inputs: (1, channels, height, width), normalised and padded.
        sample: MMSegmentation's data sample: sizes of the file, and of the padding.
        rgb: Gives the image for the overlay.
    """

    picture: Picture
    inputs: torch.Tensor
    sample: SegDataSample
    rgb: Callable[[], np.ndarray]


def predict_files(
    cfg: Config,
    checkpoint: str,
    images: Sequence[str | Path],
    outputs: Outputs,
    options: PredictOptions = PredictOptions(),  # noqa: B008 - frozen
) -> Report:
    """Predict images and write label maps and overlays.

    Everything that can be wrong with the arguments is found before the first image is predicted.
    An image that can't be read, or is too large for the GPU's memory, is noted in the report, and
    the others are predicted.

    Args:
        cfg: A whole config; changed in place.
        checkpoint: A ``.pth``, or an address such as ``tf://PATH`` or ``tf-zoo://NAME``.
        images: Files, folders and globs, see
            :func:`mmseg_deeplab_ext.prediction.pictures.find_pictures`.
        outputs: Where to, and what.
        options: How.

    Raises:
        PredictionError: There are no images, or files of their predictions exist.
        ConfigError: The config, the options or the output folder can't be used.
        CheckpointError: The checkpoint can't be read, or does not fit.
    """
    if options.batch_size < 1:
        raise ConfigError(f"The batch size is {options.batch_size}; at least 1 is needed.")
    pictures = find_pictures(images, out=outputs.folder)
    mode = use_mode(cfg, options.mode)
    crop = crop_of(cfg)
    init_default_scope(cfg.get("default_scope", "mmseg"))
    preparation = Preparation(cfg, fit=crop if mode == "resize" else None)
    model, colours = load_network(cfg, checkpoint, device=options.device)
    outputs.check(pictures)
    for note in config_notes(cfg, training=False):
        print_log(note, logger="current")
    run = _Run(model, preparation, outputs, colours=colours, options=options)
    run.report.crop = crop if mode == "whole" else None
    return run.predict(pictures)


class _Run:
    """One run over some pictures: threads read and write, the calling one runs the segmentor."""

    def __init__(
        self,
        model: nn.Module,
        preparation: Preparation,
        outputs: Outputs,
        *,
        colours: np.ndarray,
        options: PredictOptions,
    ) -> None:
        self._model: Any = model  # what a segmentor has besides, its base class does not declare
        self._preparation, self._outputs = preparation, outputs
        self._colours, self._options = colours, options
        self._device = next(model.parameters()).device
        self.report = Report(device=str(self._device))

    def predict(self, pictures: Sequence[Picture]) -> Report:
        """Predict all pictures."""
        self._progress = ProgressLine("predicting", total=len(pictures), unit="images")
        start = time.monotonic()
        at_once = _THREADS + self._options.batch_size
        with ThreadPoolExecutor(_THREADS) as pool:
            loaded = self._load(ahead(pool, self._prepare, pictures, at_once=at_once))
            grouped = batches(
                loaded, size=self._options.batch_size, key=lambda each: each.inputs.shape
            )
            results = (result for batch in grouped for result in self._labels(batch))
            for _ in ahead(pool, self._write, results, at_once=at_once):
                self.report.predicted += 1
                self._progress.advance()
        self.report.seconds = time.monotonic() - start
        return self.report

    def _prepare(self, picture: Picture) -> tuple[Picture, Prepared | UnreadableImageError]:
        try:
            return picture, self._preparation(picture.path)
        except UnreadableImageError as error:
            return picture, error

    def _load(
        self, prepared: Iterable[tuple[Picture, Prepared | UnreadableImageError]]
    ) -> Iterator[_Loaded]:
        """Normalise and pad each image alone, so that its batch changes nothing about it."""
        crop = self.report.crop
        for picture, each in prepared:
            if isinstance(each, UnreadableImageError):
                self._fail(picture, str(each))
                continue
            if crop and any(side > most for side, most in zip(each.inputs.shape[-2:], crop)):
                self.report.larger.append(picture.path)
            data = {"inputs": [each.inputs], "data_samples": [each.sample]}
            ready = self._model.data_preprocessor(data, training=False)
            # Its sample, not ours: only that one knows the padding.
            yield _Loaded(picture, ready["inputs"], ready["data_samples"][0], each.rgb)

    def _fail(self, picture: Picture, reason: str) -> None:
        self.report.failures[picture.path] = reason
        self._progress.advance()

    def _labels(self, batch: list[_Loaded]) -> Iterator[tuple[_Loaded, np.ndarray]]:
        """Predict a batch; where the GPU's memory does not suffice, one image after the other."""
        try:
            yield from zip(batch, self._forward(batch))
            return
        except torch.cuda.OutOfMemoryError as error:
            reason = f"too large for the memory of {self._device}: {' '.join(str(error).split())}"
        if len(batch) == 1:
            self._fail(batch[0].picture, f"{reason} (--mode slide or resize needs less)")
            return
        for one in batch:
            yield from self._labels([one])

    @torch.no_grad()
    def _forward(self, batch: list[_Loaded]) -> list[np.ndarray]:
        """Predict images of one padded size; returns their labels, (height, width), uint8."""
        inputs = torch.cat([each.inputs for each in batch])
        # The size of the whole batch: that of the image file is each sample's own, below.
        size = tuple(inputs.shape[-2:])
        meta = {"ori_shape": size, "img_shape": size, "pad_shape": size}
        dtype = torch.float16 if self._device.type == "cuda" else torch.bfloat16
        with torch.autocast(self._device.type, dtype=dtype, enabled=self._options.amp):
            logits = self._model.inference(inputs, [dict(meta) for _ in batch])
        labels = []
        # One by one: logits at the size of large images fill the memory.
        for each, of_image in zip(batch, logits.split(1)):
            (sample,) = self._model.postprocess_result(of_image.float(), [each.sample])
            labels.append(sample.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy())
            del sample.seg_logits, sample.pred_sem_seg
        return labels

    def _write(self, result: tuple[_Loaded, np.ndarray]) -> None:
        loaded, label = result
        image = loaded.rgb() if self._outputs.overlay else None
        self._outputs.write(loaded.picture, label, image, colours=self._colours)
