"""The MMSegmentation config that builds the network of a TensorFlow checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from mmengine.config import Config

from mmseg_deeplab_ext.config_values import check_choice, whole_numbers
from mmseg_deeplab_ext.config_view import pipeline_steps, step_name
from mmseg_deeplab_ext.conversion.dataset_meta import (
    DATA_SETS,
    UNKNOWN,
    TrainedOn,
    class_names_and_colours,
)
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.specs.backbone import BackboneSpec, Input
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.head_parts import Aspp
from mmseg_deeplab_ext.specs.network import NetworkSpec

CONFIGS = Path(__file__).parents[1] / ".mim" / "configs"
_MOBILENET_V3_WINDOW = {"crop_size": (769, 769), "stride": (4, 5)}
"""What its published models pool (g3doc/model_zoo.md)."""
_DATALOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def network_config(
    network: NetworkSpec,
    *,
    output_stride: int | None = None,
    dilations: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    crop_size: tuple[int, int] | None = None,
) -> Config:
    """Build a whole config: model, data, schedule and runtime, with the official preprocessing.

    Variables tell neither output stride nor rates nor multi-grid nor crop: where they are not
    given, the model zoo's values are taken. Training crops are the data set's.

    Args:
        network: a network with a head and logits.
        output_stride: of the backbone; by default 16, for MobileNetV3 32.
        dilations: of the ASPP branches, 1 first; by default 1 and multiples of 96 / output_stride.
        multi_grid: of a backbone that takes one; by default that of its published weights.
        crop_size: height and width that whole images are padded to in the evaluation
            (TensorFlow's ``eval_crop_size``); by default the data set's.

    Raises:
        CheckpointMismatchError: the network is no complete segmentor.
        ConfigError: an argument is impossible for this network.
    """
    parts = network.configs()
    backbone, head = network.backbone, network.head
    if head is None or head.num_classes is None:
        raise CheckpointMismatchError(
            f"no config can be written for {network}: it is no complete segmentation network. In "
            f"a config of your own, its backbone is {parts['backbone']}"
        )
    if output_stride is None:
        output_stride = backbone.default_output_stride
    parts["backbone"].update(_dilation_keys(backbone, output_stride, multi_grid))
    parts["decode_head"].update(_output_stride_keys(head, output_stride, dilations))
    data_set = DATA_SETS.get(head.num_classes) or UNKNOWN
    eval_size = data_set.eval_crop_size if crop_size is None else crop_size
    cfg = _bases(f"datasets/{data_set.base}", "schedules/schedule_30k", "default_runtime")
    preprocessor = {
        "type": "SegDataPreProcessor",
        "mean": list(backbone.input.mean),
        "std": list(backbone.input.std),
        "bgr_to_rgb": True,
        "pad_val": 0,
        "seg_pad_val": 255,
        "size": tuple(cfg["crop_size"]),
        "test_cfg": {"size": whole_numbers("crop_size", eval_size, minimum=1, count=2)},
    }
    cfg["model"] = {
        "type": "EncoderDecoder",
        "data_preprocessor": preprocessor,
        **parts,
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }
    cfg["optim_wrapper"]["optimizer"]["weight_decay"] = backbone.weight_decay
    if not data_set.alias or data_set.background:
        name_classes(cfg, head.num_classes, data_set)
    _pad_crops(cfg, backbone.input)
    return Config(cfg)


def _dilation_keys(
    backbone: BackboneSpec, output_stride: int, multi_grid: Sequence[int] | None
) -> dict[str, Any]:
    """The backbone's keys that its weights don't decide."""
    check_choice("output_stride", output_stride, backbone.output_strides)
    if multi_grid is not None and not backbone.multi_grid_length:
        raise ConfigError(
            f"multi_grid={multi_grid!r} was given, but {backbone} has none: leave it out"
        )
    if multi_grid is None:
        multi_grid = backbone.multi_grid
    grid = {} if multi_grid is None else {"multi_grid": tuple(multi_grid)}
    return {"output_stride": output_stride, **grid}


def _output_stride_keys(
    head: HeadSpec, output_stride: int, dilations: Sequence[int] | None
) -> dict[str, Any]:
    """The head's keys that follow the output stride: rates, and MobileNetV3's pooled window."""
    context = head.context
    if isinstance(context, Aspp):
        keys: dict[str, Any] = {
            "dilations": tuple(head.dilations(output_stride) if dilations is None else dilations)
        }
        if context.is_mobilenet_v3s:
            window = {**_MOBILENET_V3_WINDOW, "output_stride": output_stride}
            keys["image_pooling"] = window
        return keys
    if dilations is not None:
        raise ConfigError(f"dilations={dilations!r} was given, but a {context} has its own rates")
    if not context.known:
        raise CheckpointMismatchError(
            f"no config can be written for a {context} that is not the published one: variables "
            "tell neither rates nor inputs. In a config of your own, name the JSON file that it "
            "was trained with in dense_prediction_cell"
        )
    return {"output_stride": output_stride}


def config_text(cfg: Config, *, title: str, command: str) -> str:
    """The content of a config file.

    Args:
        cfg: the config.
        title: what it is, in one line.
        command: the command that runs it.
    """
    # File names may hold what means something else in a docstring.
    heading = f"{title}\n\n{command}\n".replace("\\", r"\\").replace('"', r"\"")
    return f'"""{heading}"""\n\n{cfg.pretty_text}'


def _bases(*names: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names:
        merged.update(Config.fromfile(CONFIGS / "_base_" / f"{name}.py").to_dict())
    return merged


def name_classes(cfg: Any, num_classes: int, data_set: TrainedOn) -> None:
    """Use a general data set with class names of its own, its labels as they are in the files.

    ADE20K with the official 151 channels is one such: MMSegmentation's data set of that name would
    shift the labels. Its label 0, "none of the classes", is ignored in training and in scores.
    """
    cfg["dataset_type"] = "BaseSegDataset"
    if not data_set.alias:
        cfg["data_root"] = "data/my_dataset"
    for loader in _DATALOADERS:
        cfg[loader]["dataset"].update(
            type=cfg["dataset_type"],
            data_root=cfg["data_root"],
            metainfo=class_names_and_colours(num_classes),
            img_suffix=".jpg",
            seg_map_suffix=".png",
            reduce_zero_label=False,
        )
    if data_set.background:
        cfg["model"]["decode_head"]["ignore_index"] = 0
        cfg["model"]["data_preprocessor"]["seg_pad_val"] = 0
        for evaluator in ("val_evaluator", "test_evaluator"):
            cfg[evaluator]["ignore_index"] = 0


def _pad_crops(cfg: dict[str, Any], network_input: Input) -> None:
    """Let the training pipelines pad with the network's pixel and the ignored label."""
    pixel = list(reversed(network_input.pad))  # blue first, as images are loaded
    label = cfg["model"]["data_preprocessor"]["seg_pad_val"]
    for steps in (cfg["train_pipeline"], cfg["train_dataloader"]["dataset"]["pipeline"]):
        for step in pipeline_steps(steps):
            if step_name(step) == "RandomScaleCrop":
                step["pad_val"] = {"img": pixel, "seg": label}
