"""What a Runner loads, against the model and the data set, before it is used."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.dataset_meta import CLASSES_BY_NUMBER, DATA_SETS
from mmseg_deeplab_ext.conversion.pth import state_dict_of
from mmseg_deeplab_ext.conversion.weights import demand_weights, notes_on_start
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.wording import listed


def segmentor_in(model: Any) -> Any:
    """The segmentor: distributed training and test-time augmentation wrap it (``module``)."""
    while not hasattr(model, "decode_head") and hasattr(model, "module"):
        model = model.module
    return model


def check_loaded(
    checkpoint: Mapping[str, Any],
    *,
    model: Any,
    classes: Sequence[str] | None,
    source: str,
    training: bool,
) -> list[str]:
    """Demand that the weights and class names of a loaded checkpoint fit a model and a data set.

    An evaluation needs all weights, and classes with the same numbers (unless the checkpoint's
    names are a guess, CLASSES_BY_NUMBER). A training may start from other classes, or from a part
    of the weights; that is said only. Returns sentences for the log.
    """
    notes = []
    if not is_address(source):  # networks of ours compare TensorFlow's weights with themselves
        found, wanted = state_dict_of(checkpoint, source=source), segmentor_in(model).state_dict()
        if training:
            notes = notes_on_start(found, wanted, source=source)
        else:
            demand_weights(found, wanted, source=source)
    meta = checkpoint.get("meta") or {}
    return [*notes, *_check_names(meta, classes, source=source, training=training)]


class CheckpointFitsHook(Hook):
    """Check whatever the Runner loads, right before it is put into the model.

    The arguments are those of :func:`check_loaded`.
    """

    def __init__(
        self, classes: Sequence[str] | None, source: str, *, training: bool = False
    ) -> None:
        self._fit = dict(classes=classes, source=source, training=training)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raise, or log, as :func:`check_loaded` says."""
        for note in check_loaded(checkpoint, model=runner.model, **self._fit):
            runner.logger.info(note)


def _check_names(
    meta: Mapping[str, Any], classes: Sequence[str] | None, *, source: str, training: bool
) -> Iterator[str]:
    trained = (meta.get("dataset_meta") or {}).get("classes")
    if not trained or not classes or len(trained) != len(classes):
        return
    ours, theirs = ([str(name).strip().lower() for name in names] for names in (classes, trained))
    differing = [number for number, name in enumerate(theirs) if name != ours[number]]
    if not differing:
        return
    pairs = [f"{number}: {trained[number]!r} / {classes[number]!r}" for number in differing]
    shown = listed(pairs, most=5)
    if training:
        yield (
            f"{source} and the data set have other classes (checkpoint / data set): {shown}. The "
            "training starts from the last layer of those."
        )
    elif meta.get(CLASSES_BY_NUMBER):
        if len(theirs) in DATA_SETS:
            yield (
                f"{source} has as many classes as a data set whose names are not those of this one "
                f"(that data set / this one): {shown}. The scores mean something only if it was "
                "trained for this one's, in this order."
            )
    elif any(theirs[number] in ours for number in differing):
        raise ConfigError(
            f"{source} numbers its classes otherwise than the data set (checkpoint / data set): "
            f"{shown}. Evaluate it on the data set it was trained for, or give this one the "
            f"checkpoint's order: test_dataloader.dataset.metainfo=dict(classes={list(trained)})"
        )
    else:
        yield (
            f"{source} and the data set name their classes differently (checkpoint / data set): "
            f"{shown}. The scores mean something only if these are the same classes."
        )
