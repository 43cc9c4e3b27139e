"""A checkpoint whose classes are not those of the model, or of the data set, before it is used."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmseg_deeplab_ext.errors import ConfigError

_NAMES_SHOWN = 5


def check_checkpoint_classes(
    checkpoint: Mapping[str, Any],
    *,
    model: Any,
    classes: Sequence[str] | None,
    source: str,
) -> list[str]:
    """Demand that a checkpoint's last layer and class names fit.

    MMEngine leaves a layer of another shape at its random start, with a line in the log, and does
    not look at the names.

    Args:
        checkpoint: What was loaded, with ``state_dict`` and ``meta``, or a bare state dict.
        model: The segmentor, an ``nn.Module``, perhaps wrapped (``module``).
        classes: Class names of the data set; None if it names none.
        source: Where the checkpoint comes from, for the messages.

    Returns:
        Sentences for the log: the names differ, and nothing tells whether the classes do.

    Raises:
        ConfigError: The last layer has another number of classes, or a class has another number
            in the checkpoint than in the data set.
    """
    while not hasattr(model, "decode_head") and hasattr(model, "module"):
        model = model.module
    _check_last_layer(checkpoint.get("state_dict", checkpoint), model, source)
    meta = (checkpoint.get("meta") or {}).get("dataset_meta") or {}
    return _check_names(meta.get("classes"), classes, source)


class CheckpointClassesHook(Hook):
    """Check whatever the Runner loads, right before it is put into the model.

    Args:
        classes: Class names of the data set; None if it names none.
        source: Where the checkpoint comes from, for the messages.
    """

    def __init__(self, classes: Sequence[str] | None, source: str) -> None:
        self._classes = classes
        self._source = source

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raise a ConfigError, or log, as :func:`check_checkpoint_classes` says."""
        notes = check_checkpoint_classes(
            checkpoint, model=runner.model, classes=self._classes, source=self._source
        )
        for note in notes:
            runner.logger.info(note)


def _check_last_layer(state_dict: Mapping[str, Any], model: nn.Module, source: str) -> None:
    for key, wanted in model.state_dict().items():
        if not (key.startswith("decode_head.") and key.endswith("conv_seg.weight")):
            continue
        given = state_dict.get(key, state_dict.get(f"module.{key}"))
        if given is None:
            raise ConfigError(
                f"{source} has no {key}: it holds no trained model of this config. Give a "
                "checkpoint that tools/train.py or tf2mmseg.py wrote for it."
            )
        if len(given) != len(wanted):
            raise ConfigError(
                f"{source} was trained for {len(given)} classes ({key} {list(given.shape)}), but "
                f"the model has {len(wanted)}. Evaluate it with the config it was trained with, "
                f"or one whose head and data set have its {len(given)} classes."
            )


def _check_names(
    trained: Sequence[str] | None, classes: Sequence[str] | None, source: str
) -> list[str]:
    if not trained or not classes or len(trained) != len(classes):
        return []
    ours = [_normal(name) for name in classes]
    theirs = [_normal(name) for name in trained]
    differing = [number for number, name in enumerate(theirs) if name != ours[number]]
    if not differing:
        return []
    shown = ", ".join(
        f"{number}: {trained[number]!r} / {classes[number]!r}"
        for number in differing[:_NAMES_SHOWN]
    )
    shown += ", ..." * (len(differing) > _NAMES_SHOWN)
    if any(theirs[number] in ours for number in differing):
        raise ConfigError(
            f"{source} numbers its classes otherwise than the data set (checkpoint / data set): "
            f"{shown}. Evaluate it on the data set it was trained for, or give this one the "
            f"checkpoint's order: test_dataloader.dataset.metainfo=dict(classes={list(trained)})"
        )
    return [
        f"{source} and the data set name their classes differently (checkpoint / data set): "
        f"{shown}. The scores mean something only if these are the same classes."
    ]


def _normal(name: str) -> str:
    return str(name).strip().lower()
