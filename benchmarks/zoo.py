"""The table of docs/zoo.md: Google's published numbers, and what each evaluation costs here.

python benchmarks/zoo.py

Counted by PyTorch's FlopCounterMode on tensors without values, in seconds: the multiply-adds of all
convolutions, over every scale and flip of the evaluation. Batch norms, which an inference folds,
activations, pooling and resizing are not counted, nor are they in Google's numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

from mmseg_deeplab_ext.checkpoints.zoo_table import SCHEME, ZOO
from mmseg_deeplab_ext.launch.adapt.tta import use_tta
from mmseg_deeplab_ext.launch.config import load_config
from mmseg_deeplab_ext.plugins import load_plugins
from mmseg_deeplab_ext.segmentors import DeepLabTTAModel
from mmseg_deeplab_ext.specs.deeplab_head import official_rates

REPO = Path(__file__).resolve().parents[1]
# Name, output stride -> 10^9 (g3doc/model_zoo.md).
GOOGLES_MULTIPLY_ADDS = {
    ("mobilenetv2_dm05_coco_voc_trainaug", 16): 0.88,
    ("mobilenetv2_dm05_coco_voc_trainval", 8): 2.84,
    ("mobilenetv2_coco_voc_trainaug", 16): 2.75,
    ("mobilenetv2_coco_voc_trainaug", 8): 152.59,
    ("mobilenetv2_coco_voc_trainval", 8): 152.59,
    ("mobilenetv2_coco_cityscapes_trainfine", 16): 21.27,
    ("mobilenetv2_coco_cityscapes_trainfine", 8): 433.24,
    ("xception65_coco_voc_trainaug", 16): 54.17,
    ("xception65_coco_voc_trainaug", 8): 3055.35,
    ("xception65_coco_voc_trainval", 8): 3055.35,
    ("xception65_cityscapes_trainfine", 16): 418.64,
    ("xception65_cityscapes_trainfine", 8): 8677.92,
    ("xception71_dpc_cityscapes_trainfine", 16): 502.07,
    ("mobilenetv3_large_cityscapes_trainfine", 32): 15.95,
    ("mobilenetv3_small_cityscapes_trainfine", 32): 4.63,
    ("EdgeTPU-DeepLab", 32): 5.6,
    ("EdgeTPU-DeepLab", 16): 7.1,
    ("EdgeTPU-DeepLab-slim", 32): 3.5,
    ("EdgeTPU-DeepLab-slim", 16): 4.3,
}
COUNTED_ELSEWHERE = {"EdgeTPU-DeepLab": (513, 513), "EdgeTPU-DeepLab-slim": (513, 513)}
"""Name -> the size that Google's count fits, where that is not what is evaluated."""


@dataclass(frozen=True)
class Evaluation:
    """A published evaluation of a checkpoint.

    Attributes:
        name: the checkpoint's in the zoo.
        miou: what was published, in per cent.
        split: val or test.
        output_stride: of the backbone.
        multi_scale: whether it was averaged over scales and flips.
    """

    name: str
    miou: str
    split: str
    output_stride: int
    multi_scale: bool

    @property
    def path(self) -> str:
        """The config file."""
        return f"configs/zoo/{self.name}.py"

    @cached_property
    def shipped(self) -> Config:
        """The config as it is in the file."""
        return Config.fromfile(REPO / self.path)

    @property
    def googles_multiply_adds(self) -> float | None:
        """10^9 multiply-adds as published, if they are."""
        return GOOGLES_MULTIPLY_ADDS.get((self.name, self.output_stride))

    def options(self) -> dict[str, Any]:
        """What ``--cfg-options`` changes where the config is of another published evaluation."""
        model = self.shipped.model
        if model.backbone.output_stride == self.output_stride:
            return {}
        options: dict[str, Any] = {"model.backbone.output_stride": self.output_stride}
        rates = len(model.decode_head.dilations) - 1
        if rates:
            dilations = [1, *official_rates(self.output_stride, rates)]
            options["model.decode_head.dilations"] = dilations
        return options

    def config(self) -> Config:
        """The config as the command makes it."""
        cfg = load_config(str(REPO / self.path), options=self.options())
        if self.multi_scale:
            use_tta(cfg)
        return cfg

    def command(self) -> str:
        """The command that evaluates it."""
        words = [f"python tools/test.py {self.path} {SCHEME}{self.name}"]
        words += ["--tta"] * self.multi_scale
        if self.split == "test" and "output_dir" not in self.shipped.test_evaluator:
            words += [f"--out work_dirs/{self.name}/labels"]
        options = [f"{key}={value}".replace(" ", "") for key, value in self.options().items()]
        quoted = [f'"{option}"' if "[" in option else option for option in options]
        return " ".join([*words, *(["--cfg-options"] * bool(quoted)), *quoted])


def evaluations() -> Iterator[Evaluation]:
    """All that were published, in the zoo's order."""
    for entry in ZOO:
        for text in entry.published:
            found = re.fullmatch(r"([\d.]+) (val|test) OS(\d+)( MS)?", text)
            miou, split, stride, multi_scale = found.groups()
            yield Evaluation(entry.name, miou, split, int(stride), bool(multi_scale))


def complexity(model: dict[str, Any], size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Parameters and multiply-adds of a segmentor or a ``DeepLabTTAModel``.

    Args:
        model: its config.
        size: height and width of the image; by default what the evaluation pads to.
    """
    with torch.device("meta"):
        built = MODELS.build(model).eval()
    segmentor = built.module if isinstance(built, DeepLabTTAModel) else built
    size = size or segmentor.data_preprocessor.test_cfg["size"]
    image = torch.zeros(1, 3, *size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built.merged(image) if built is not segmentor else segmentor(image)
    return sum(p.numel() for p in segmentor.parameters()), counter.get_total_flops() // 2


def row(evaluation: Evaluation) -> str:
    """A line of the table."""
    model = evaluation.config().model
    parameters, multiply_adds = complexity(model)
    google = evaluation.googles_multiply_adds or ""
    size = COUNTED_ELSEWHERE.get(evaluation.name)
    if size:
        google = f"{google} ({size[0]}x{size[1]}: {complexity(model, size)[1] / 1e9:.2f})"
    how = f"OS{evaluation.output_stride}{', scales and flips' * evaluation.multi_scale}"
    return (
        f"| `{evaluation.name}` | {evaluation.miou} {evaluation.split} | {how} | "
        f"{parameters / 1e6:.2f} | {multiply_adds / 1e9:.2f} | {google} |"
    )


def main() -> None:
    """Print the table and the commands."""
    load_plugins()
    init_default_scope("mmseg")
    print("\n".join(row(evaluation) for evaluation in evaluations()))
    print("\n".join(evaluation.command() for evaluation in evaluations()))


if __name__ == "__main__":
    main()
