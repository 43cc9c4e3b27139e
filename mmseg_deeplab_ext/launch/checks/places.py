"""What the keys of a config hold, and where MMEngine looks up the types in there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping

from mmengine.registry import FUNCTIONS, Registry
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from mmseg_deeplab_ext import registry as ours


@dataclass(frozen=True)
class Place:
    """What a key of a config holds: one part, or (nested) lists of such."""

    source: Registry | Callable[..., Any]
    """Where the type is looked up; or what is called with the keys, whatever the type."""

    default: str = ""
    """The type of a part that names none."""

    more: tuple[str, ...] = ()
    """Keys that its builder reads."""

    certain: bool = True
    """Whether what is unknown is wrong; else only what looks like a typing error."""

    inside: Mapping[str, Place] = field(default_factory=dict)


PIPELINE = Place(ours.TRANSFORMS)
_DATASET = Place(ours.DATASETS, inside={"pipeline": PIPELINE})
_DATASET = replace(  # and what wraps one
    _DATASET, inside={"pipeline": PIPELINE, "dataset": _DATASET, "datasets": _DATASET}
)
_SAMPLER = Place(ours.DATA_SAMPLERS)
_LOADER = Place(
    DataLoader,
    more=("num_batch_per_epoch", "disable_subprocess_warning"),
    inside={
        "dataset": _DATASET,
        "sampler": _SAMPLER,
        "batch_sampler": _SAMPLER,
        "collate_fn": Place(FUNCTIONS),
    },
)
_OPTIM_WRAPPER = Place(
    ours.OPTIM_WRAPPERS,
    default="OptimWrapper",
    more=("constructor", "paramwise_cfg"),
    inside={
        "optimizer": Place(ours.OPTIMIZERS),
        "clip_grad": Place(clip_grad_norm_, certain=False),
    },
)
METRICS = Place(ours.METRICS)
EVALUATOR = Place(ours.EVALUATOR, default="Evaluator", inside={"metrics": Place(ours.METRICS)})
_INITIALIZER = Place(ours.WEIGHT_INITIALIZERS, certain=False)
_NETWORK = Place(ours.MODELS, inside={"init_cfg": _INITIALIZER, "loss_decode": Place(ours.MODELS)})
MODEL = Place(
    ours.MODELS,
    inside={
        "data_preprocessor": _NETWORK,
        "init_cfg": _INITIALIZER,
        **dict.fromkeys(("backbone", "neck", "decode_head", "auxiliary_head"), _NETWORK),
    },
)
HOOK = Place(ours.HOOKS, more=("priority",))
LOOP = Place(ours.LOOPS)

OF_EVERY_RUN = {
    "model": MODEL,
    "custom_hooks": HOOK,
    "visualizer": Place(
        ours.VISUALIZERS,
        default="Visualizer",
        more=("name", "save_dir"),
        inside={"vis_backends": Place(ours.VISBACKENDS)},
    ),
    "log_processor": Place(ours.LOG_PROCESSORS, default="LogProcessor"),
    "model_wrapper_cfg": Place(ours.MODEL_WRAPPERS, certain=False),
    "randomness": Place(Runner.set_randomness),
}
OF_SPLIT = {
    "train": {
        "train_dataloader": _LOADER,
        "train_cfg": LOOP,
        "optim_wrapper": _OPTIM_WRAPPER,
        "param_scheduler": Place(ours.PARAM_SCHEDULERS, more=("convert_to_iter_based",)),
    },
    **{
        split: {
            f"{split}_dataloader": _LOADER,
            f"{split}_evaluator": METRICS,
            f"{split}_cfg": replace(LOOP, default=loop),
        }
        for split, loop in (("val", "ValLoop"), ("test", "TestLoop"))
    },
}
