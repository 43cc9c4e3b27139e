"""What a config says of its evaluation: the test pipeline, the padding, the crop."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from mmengine.config import Config

from mmseg_deeplab_ext.config_view import leaf_datasets


def test_pipeline(cfg: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The steps of a config's test data set, else its ``test_pipeline``; none if it has neither."""
    return test_dataset(cfg).get("pipeline") or cfg.get("test_pipeline") or []


def test_dataset(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the first data set to test on, without wrappers; empty if there is none."""
    loader = cfg.get("test_dataloader")
    return next(leaf_datasets(loader["dataset"])) if loader else {}


def padded_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width that the config's evaluation pads to; None if it pads to no size.

    MMSegmentation pads only by ``data_preprocessor.test_cfg``. ``size`` is that of the training.
    """
    return _size((_preprocessor(cfg).get("test_cfg") or {}).get("size"))


def crop_of(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the crop that the config predicts with; None if it has none.

    That is the window's or else the size that images are padded to.
    """
    return _size((cfg.model.get("test_cfg") or {}).get("crop_size")) or padded_size(cfg)


def network_size(cfg: Config) -> tuple[int, int] | None:
    """The crop that the config predicts with, or else trains with; None if it names neither."""
    return crop_of(cfg) or _size(_preprocessor(cfg).get("size"))


def _preprocessor(cfg: Config) -> Mapping[str, Any]:
    return cfg.model.get("data_preprocessor") or {}


def _size(values: Sequence[int] | None) -> tuple[int, int] | None:
    return None if values is None else (int(values[0]), int(values[1]))
