"""``--tta``: the config's model and test pipeline become those of test-time augmentation."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_deeplab_ext.config_view import leaf_datasets, pipeline_steps, step_name
from mmseg_deeplab_ext.errors import ConfigError

_OURS = "DeepLabTTAModel"
_TAKE_OURS = "tta_model=dict(type='mmseg_deeplab_ext.DeepLabTTAModel')"


def use_tta(cfg: Config) -> list[str]:
    """Wrap the model into ``tta_model``.

    A ``DeepLabTTAModel`` scales and flips by itself: every data set keeps its own test pipeline.
    Other models are fed by ``tta_pipeline``, which makes their copies.
    """
    if cfg.get("tta_model") is None:
        raise ConfigError(
            "--tta needs tta_model in the config, for example tta_model=dict("
            "type='mmseg_deeplab_ext.DeepLabTTAModel', scales=(0.5, 1.0), flip=True)."
        )
    ours = step_name(cfg.tta_model) == _OURS
    _check_copies(cfg, ours=ours)
    notes = []
    for leaf in leaf_datasets(cfg.test_dataloader.dataset):
        if not ours:
            leaf.pipeline = cfg.tta_pipeline
        elif cfg.get("tta_pipeline") not in (None, leaf.get("pipeline")):
            notes.append(
                "--tta: images come through the test data set's own pipeline, since "
                f"{_OURS} scales and flips by itself; tta_pipeline, which differs, is not used."
            )
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
    return list(dict.fromkeys(notes))


def _check_copies(cfg: Config, *, ours: bool) -> None:
    """Demand the copies of ``TestTimeAug`` where they are merged, and none elsewhere."""
    pipeline = cfg.get("tta_pipeline")
    if pipeline is None and not ours:
        raise ConfigError(
            f"--tta needs tta_pipeline in the config, which makes the copies that a "
            f"{step_name(cfg.tta_model)} merges; {_TAKE_OURS} needs none."
        )
    copies = any(step_name(step) == "TestTimeAug" for step in pipeline_steps(pipeline))
    if ours and copies:
        raise ConfigError(
            f"--tta: tta_model is a {_OURS}, which scales and flips the padded image itself, but "
            "tta_pipeline has TestTimeAug. Take the official merge with "
            "tta_pipeline=test_pipeline, or MMSegmentation's with "
            "tta_model=dict(_delete_=True, type='SegTTAModel')."
        )
    if step_name(cfg.tta_model) == "SegTTAModel" and not copies:
        raise ConfigError(
            "--tta: tta_model is a SegTTAModel, which merges the copies that TestTimeAug makes, "
            f"but tta_pipeline has no TestTimeAug. Add it, or take {_TAKE_OURS}."
        )
