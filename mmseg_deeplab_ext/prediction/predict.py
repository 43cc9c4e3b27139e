"""Predict many images with one segmentor."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from mmseg_deeplab_ext.errors import PredictionError, UnreadableImageError, UnwritableFileError
from mmseg_deeplab_ext.inference.config import crop_of, test_pipeline
from mmseg_deeplab_ext.inference.labels import image_labels
from mmseg_deeplab_ext.inference.load import load_segmentor
from mmseg_deeplab_ext.inference.optimise import optimise
from mmseg_deeplab_ext.launch.checks.before_start import check_inference_config
from mmseg_deeplab_ext.launch.checks.recipe import config_notes
from mmseg_deeplab_ext.launch.distributed import device_of_this_process
from mmseg_deeplab_ext.prediction.batches import batches, bounded_map
from mmseg_deeplab_ext.prediction.colours import class_colours
from mmseg_deeplab_ext.prediction.modes import use_mode
from mmseg_deeplab_ext.prediction.options import PredictOptions
from mmseg_deeplab_ext.prediction.outputs import Outputs
from mmseg_deeplab_ext.prediction.pictures import Picture, find_pictures
from mmseg_deeplab_ext.prediction.preparation import Preparation, Prepared
from mmseg_deeplab_ext.prediction.report import Report, Tally
from mmseg_deeplab_ext.prediction.team import Team

_THREADS = min(8, os.cpu_count() or 1)
"""Threads that decode and encode: from some on, Python's lock is what they wait for."""

_UNWRITTEN_AT_MOST = 3
"""Images in a row whose files can't be written before a run ends: a million would all fail."""

_NETWORK_ERRORS = (RuntimeError, ValueError, AssertionError, MemoryError)
"""What a segmentor, which may be anyone's, raises about an image: too large, too small, ..."""


_Ready = Tuple[Picture, Prepared]
"""A picture whose ``inputs``, (1, channels, height, width), are on the device, and padded."""


def predict_files(
    cfg: Config,
    checkpoint: str,
    images: Sequence[str | Path],
    outputs: Outputs,
    options: PredictOptions = PredictOptions(),  # noqa: B008 - frozen
    report: Report | None = None,
) -> Report:
    """Predict images and write label maps and overlays.

    Everything that can be wrong with the arguments is found before the first image is predicted.
    An image that can't be read, predicted (too large for the memory, too small for the network) or
    written is noted in the report, and the others are predicted.

    Args:
        cfg: A whole config; changed in place.
        checkpoint: A ``.pth``, or an address such as ``tf://PATH`` or ``tf-zoo://NAME``.
        images: Files, folders and globs, see
            :func:`mmseg_deeplab_ext.prediction.pictures.find_pictures`.
        outputs: Where to, and what.
        options: How.
        report: Filled in also where the run ends with an error.

    Returns:
        The report; of a run in several processes that of all in the first, empty in the others.

    Raises:
        PredictionError: There are no images, or files of their predictions exist; or those of
            several images in a row can't be written.
        ConfigError: The config or the output folder can't be used.
        CheckpointError: The checkpoint can't be read, or does not fit.
    """
    report = Report() if report is None else report
    team = Team(options.launcher)
    with team.first_alone():
        pictures = find_pictures(images, out=outputs.folder) if team.leads else []
        run = _Run.of(cfg, checkpoint, outputs, options, team, report)
        wanted = outputs.check(pictures)
        if team.leads:
            for note in config_notes(cfg, training=False):
                print_log(note, logger="current")
    report.total, report.passed_over = len(pictures), len(pictures) - len(wanted)
    run.predict(wanted)
    return report


@dataclass
class _Run:
    """One run over some pictures: threads read and write, the calling one runs the segmentor."""

    model: Any  # what a segmentor has besides, its base class does not declare
    preparation: Preparation
    outputs: Outputs
    colours: np.ndarray
    options: PredictOptions
    team: Team
    report: Report

    @classmethod
    def of(
        cls,
        cfg: Config,
        checkpoint: str,
        outputs: Outputs,
        options: PredictOptions,
        team: Team,
        report: Report,
    ) -> _Run:
        """Check the config, and build and load what it names."""
        mode = use_mode(cfg, options.mode)
        crop = crop_of(cfg)
        init_default_scope(cfg.get("default_scope", "mmseg"))
        check_inference_config(cfg, pipeline=test_pipeline(cfg))
        preparation = Preparation(cfg, fit=crop if mode == "resize" else None)
        device = device_of_this_process(options.launcher, options.device)
        model, meta = load_segmentor(cfg, checkpoint, device=device)
        colours = class_colours(cfg, meta, num_classes=max(model.num_classes, 2))
        if options.optimise:
            model = optimise(model, dtype=options.dtype)
        report.crop = crop if mode == "whole" else None
        return cls(model, preparation, outputs, colours, options, team, report)

    def predict(self, pictures: Sequence[Picture]) -> None:
        """Predict all pictures; however this ends, the report then counts every file written."""
        self.tally = Tally(self.team, total=len(pictures))
        self.device = next(self.model.parameters()).device
        size = self.team.size
        self.report.device = str(self.device) if size == 1 else f"{self.device.type} x {size}"
        start = time.monotonic()
        at_once = _THREADS + self.options.batch_size
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                shared = self.team.share(pictures)
                prepared = bounded_map(pool, self._prepare, shared, at_once=at_once)
                for _ in bounded_map(pool, self._write, self._predict(prepared), at_once=at_once):
                    pass
            self.tally.wait_for_the_others()
        finally:
            self.report.seconds = time.monotonic() - start
            self.tally.tell(self.report)

    def _predict(
        self, prepared: Iterable[tuple[Picture, Prepared | UnreadableImageError]]
    ) -> Iterator[tuple[_Ready, np.ndarray]]:
        ready, size = self._load(prepared), self.options.batch_size
        for batch in batches(ready, size=size, key=lambda each: each[1].inputs.shape):
            yield from self._labels(batch)

    def _prepare(self, picture: Picture) -> tuple[Picture, Prepared | UnreadableImageError]:
        try:
            return picture, self.preparation(picture.path)
        except UnreadableImageError as error:
            return picture, error

    def _load(
        self, prepared: Iterable[tuple[Picture, Prepared | UnreadableImageError]]
    ) -> Iterator[_Ready]:
        """Normalise and pad each image alone, so that its batch changes nothing about it."""
        crop = self.report.crop
        for picture, each in prepared:
            if isinstance(each, UnreadableImageError):
                self.tally.failed(picture, str(each))
                continue
            if crop and any(side > most for side, most in zip(each.inputs.shape[-2:], crop)):
                self.tally.larger(picture)
            data = {"inputs": [each.inputs], "data_samples": [each.sample]}
            try:
                ready = self.model.data_preprocessor(data, training=False)
            except _NETWORK_ERRORS as error:
                self.tally.failed(picture, self._reason(error))
                continue
            # Its sample, not ours: only that one knows the padding.
            yield picture, replace(each, inputs=ready["inputs"], sample=ready["data_samples"][0])

    def _labels(self, batch: list[_Ready]) -> Iterator[tuple[_Ready, np.ndarray]]:
        """Predict a batch; if that fails, one image after the other."""
        try:
            labels = self._forward(batch)
        except _NETWORK_ERRORS as error:
            reason = self._reason(error)
        else:
            yield from zip(batch, labels)
            return
        if len(batch) == 1:
            self.tally.failed(batch[0][0], reason)
            return
        for one in batch:
            yield from self._labels([one])

    def _reason(self, error: Exception) -> str:
        """Why the segmentor fails on an image; raises if it can't predict any other either."""
        if self.device.type == "cuda":
            # Some errors break CUDA for the rest of the process; then this call fails too.
            torch.cuda.synchronize(self.device)
        message = " ".join(str(error).split())
        short = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        if short or "DefaultCPUAllocator" in message:  # on CPUs a plain RuntimeError
            place = f"too large for the memory of {self.device}"
            return f"{place}: {message} (--mode slide or resize needs less)"
        return f"the network fails on it: {message}"

    def _forward(self, batch: list[_Ready]) -> list[np.ndarray]:
        """Predict images of one padded size; returns their labels, (height, width), uint8."""
        inputs = torch.cat([each.inputs for _, each in batch])
        samples = [each.sample for _, each in batch]
        found = image_labels(
            self.model,
            inputs,
            samples,
            half=self.options.amp,
            dtype=torch.uint8,
            progress=partial(self.tally.windows, images=len(batch)),
        )
        return [labels.cpu().numpy() for labels in found]

    def _write(self, result: tuple[_Ready, np.ndarray]) -> None:
        (picture, prepared), label = result
        try:
            image = prepared.rgb() if self.outputs.overlay else None
            self.outputs.write(picture, label, image, colours=self.colours)
        except MemoryError:
            self.tally.failed(picture, "its files are too large for the memory")
        except UnwritableFileError as error:
            if self.tally.unwritten(picture, str(error)) >= _UNWRITTEN_AT_MOST:
                raise PredictionError(
                    f"The files of {_UNWRITTEN_AT_MOST} images in a row can't be written: {error}. "
                    "Make room for them, and predict the rest."
                ) from error
        else:
            self.tally.predicted()
