"""The export: config and checkpoint in, verified ONNX file out."""

from __future__ import annotations

import copy
import inspect
import os
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.onnx.errors
from mmengine.config import Config

from mmseg_deeplab_ext.atomic_files import file_made_whole
from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.errors import ConfigError, EnvironmentNotReadyError, ExportError
from mmseg_deeplab_ext.export.evaluation import configured_resize, export_notes
from mmseg_deeplab_ext.export.graph import InferenceGraph
from mmseg_deeplab_ext.export.tracing import make_traceable
from mmseg_deeplab_ext.export.verification import Verified, random_image, verify
from mmseg_deeplab_ext.inference.config import network_size, padded_size
from mmseg_deeplab_ext.inference.folding import folded
from mmseg_deeplab_ext.inference.load import load_segmentor
from mmseg_deeplab_ext.launch.checks.before_start import check_inference_config
from mmseg_deeplab_ext.layers.resize_range import ResizeRange
from mmseg_deeplab_ext.writable import problems_of_files

# deeplab/export_model.py.
INPUT = "ImageTensor"
PREDICTIONS = "SemanticPredictions"
PROBABILITIES = "SemanticProbabilities"
_LOGITS = "logits"  # an output for the verification only
# The newest operators used: Resize with aligned corners and Pad with computed sizes (11), ArgMax
# with a rule for ties (12), Max of int64. 13 is read by everything that reads these.
OPSET = 13
_PACKAGES = {"onnx": "writes the file", "onnxruntime": "runs it, to verify it"}
"""Optional package -> what it is needed for."""


@dataclass(frozen=True)
class Exported:
    """What an export has done.

    Attributes:
        crop_size: height and width that the graph pads every image to; None if it does not.
        verified: the comparison with PyTorch, per image.
        resize: how the graph resizes images first; None if it does not.
        notes: what the graph does not do as the config's evaluation, and what is seldom meant.
    """

    crop_size: tuple[int, int] | None
    verified: list[Verified]
    resize: ResizeRange | None
    notes: list[str]


def export_onnx(
    cfg: Config,
    checkpoint: str,
    path: str | os.PathLike[str],
    *,
    crop_size: tuple[int, int] | None = None,
    dynamic: bool = False,
    resize: ResizeRange | None = None,
    keep_size: bool = False,
    probabilities: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a segmentor as an ONNX file and verify it; a file that fails is not left behind.

    Args:
        cfg: config of the segmentor.
        checkpoint: its weights: a file, or an address such as ``tf://`` and ``tf-zoo://``.
        path: the file to write.
        crop_size: height and width that the graph pads every image to; by default what the
            config's evaluation pads to (:func:`mmseg_deeplab_ext.inference.config.padded_size`).
            The graph fails on a larger image.
        dynamic: let the graph run the network at each image's own size instead, as it does by
            default where the evaluation does not pad.
        resize: how the graph resizes images first; by default as the ``ResizeToRange`` of the
            config's test pipeline, if it has one.
        keep_size: let the graph not resize, whatever the test pipeline does.
        probabilities: let the graph return them, too.
        overwrite: replace a file that is there already.

    Raises:
        ConfigError: the config, or its combination with the arguments, can't be exported.
        CheckpointError: the weights can't be read or do not fit.
        EnvironmentNotReadyError: onnx or onnxruntime is missing.
        ExportError: the file can't be written, or differs from PyTorch.
    """
    path = Path(path)
    for problem in problems_of_files([path], overwrite=overwrite):
        raise ExportError(problem)
    if dynamic and crop_size is not None:
        raise ConfigError(f"crop_size={crop_size} and dynamic contradict each other: give one")
    if keep_size and resize is not None:
        raise ConfigError(f"resize={resize!r} and keep_size contradict each other: give one")
    onnx, onnxruntime = _import_packages()
    if not keep_size:
        resize = resize or configured_resize(cfg)
    check_inference_config(cfg)
    segmentor, _ = load_segmentor(copy.deepcopy(cfg), checkpoint, device="cpu")
    crop = None if dynamic else crop_size or padded_size(cfg)
    if crop is not None:
        crop = whole_numbers("crop_size", crop, minimum=1, count=2)
    graph = InferenceGraph(segmentor, crop_size=crop, resize=resize, probabilities=probabilities)
    sizes = _image_sizes(crop, configured=network_size(cfg), resize=resize)
    notes = export_notes(cfg, crop_size=crop, resize=resize)
    try:
        with file_made_whole(path) as temporary:
            _write(graph, temporary, size=sizes[0])
            model = _declared(temporary, num_classes=segmentor.decode_head.out_channels, onnx=onnx)
            verified = verify(temporary, graph, sizes, onnxruntime=onnxruntime)
            del model.graph.output[-1]  # the logits; no node goes, since the labels need them
            onnx.save(model, str(temporary))
    except OSError as error:
        raise ExportError(f"{path} can't be written: {error}") from error
    return Exported(crop_size=crop, verified=verified, resize=resize, notes=notes)


def _import_packages() -> list[Any]:
    """Import what `_PACKAGES` names, in this order."""
    modules, problems = [], []
    for name, purpose in _PACKAGES.items():
        try:
            modules.append(import_module(name))
        except ImportError as error:
            problems.append(f"{name}, which {purpose} ({error})")
    if problems:
        raise EnvironmentNotReadyError(
            f"The export needs {' and '.join(problems)}. Install it with `pip install "
            f"{' '.join(_PACKAGES)}`, or this package with its extra `export`."
        )
    return modules


def _image_sizes(
    crop: tuple[int, int] | None, *, configured: tuple[int, int] | None, resize: ResizeRange | None
) -> list[tuple[int, int]]:
    """Sizes of the images to trace and verify with, the first for both."""
    if crop is None:
        # Both odd, then both even: paddings differ. Not below the configured size, which the
        # network may need (image_pooling with a crop_size). Resized, the shorter side is always
        # the same, so that an upright image is needed besides.
        height, width = configured or (129, 161)
        odd, even = (height | 1, width | 1), ((height + 1) & ~1, (width + 15) & ~1)
        return [odd, even] if resize is None else [odd, even, even[::-1]]
    if resize is None:
        return [(max(1, crop[0] * 3 // 4), max(1, crop[1] * 2 // 3)), crop]
    if not _fits(crop, crop=crop, resize=resize):
        size = " x ".join(map(str, resize.size(torch.tensor(crop)).tolist()))
        raise ConfigError(
            f"{resize!r} makes {size} of an image of {crop[0]} x {crop[1]}, which is larger than "
            "the crop: give a max_size within the crop, or a larger crop, or keep_size"
        )
    larger, smaller = (2 * crop[0], 2 * crop[1]), (crop[0] // 2 + 1, crop[1] // 2 + 1)
    return [larger, smaller] if _fits(smaller, crop=crop, resize=resize) else [larger, crop]


def _fits(size: tuple[int, int], *, crop: tuple[int, int], resize: ResizeRange) -> bool:
    """Whether an image of this size, resized, is within the crop."""
    return bool((resize.size(torch.tensor(size)) <= torch.tensor(crop)).all())


def _write(graph: InferenceGraph, path: Path, *, size: tuple[int, int]) -> None:
    """Trace the graph with its batch norms folded."""
    images = [INPUT, PREDICTIONS, PROBABILITIES][: 2 + graph.probabilities]
    options: dict[str, Any] = {
        "input_names": [INPUT],
        "output_names": [*images[1:], _LOGITS],
        "dynamic_axes": {
            **{name: {1: "height", 2: "width"} for name in images},
            _LOGITS: {2: "rows", 3: "columns"},  # of the resized image
        },
        "opset_version": OPSET,
    }
    # The exporter that traces. PyTorch's other one, the default since 2.9, needs a third package
    # and a rule for every size that a graph computes.
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    with warnings.catch_warnings(), torch.no_grad():
        # It warns of each comparison of sizes in the network; whether one of them matters is what
        # the verification with images of other sizes finds out.
        warnings.simplefilter("ignore")
        image = torch.from_numpy(random_image(*size))
        network = make_traceable(folded(graph, lambda module: module(image)))
        try:
            torch.onnx.export(network, (image,), str(path), **options)
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).partition("\n")[0]  # a listing of the graph follows
            raise ExportError(f"PyTorch can't write this network as ONNX: {reason}") from error


def _declared(path: Path, *, num_classes: int, onnx: Any) -> Any:
    """Write down the outputs' sizes that don't depend on the image; returns the file's model."""
    model = onnx.load(str(path))
    for output in model.graph.output:
        dims = output.type.tensor_type.shape.dim
        dims[0].dim_value = 1
        if output.name == PROBABILITIES:
            dims[3].dim_value = num_classes
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"what was written is no valid ONNX: {error}") from error
    onnx.save(model, str(path))
    return model
