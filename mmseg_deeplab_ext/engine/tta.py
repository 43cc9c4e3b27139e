"""``--tta``: the config's model and test pipeline become those of test-time augmentation."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_deeplab_ext.datasets.config_walk import leaf_datasets, pipeline_steps, step_name
from mmseg_deeplab_ext.errors import ConfigError


def use_tta(cfg: Config) -> None:
    """Wrap the model into ``tta_model`` and feed it by ``tta_pipeline``, in place.

    Args:
        cfg: Config with both keys, ours (``DeepLabTTAModel`` and a plain pipeline) or
            MMSegmentation's (``SegTTAModel`` and a pipeline with ``TestTimeAug``).

    Raises:
        ConfigError: A key is missing, or the two do not go together.
    """
    missing = [key for key in ("tta_pipeline", "tta_model") if cfg.get(key) is None]
    if missing:
        raise ConfigError(
            f"--tta needs {' and '.join(missing)} in the config, for example "
            "tta_model=dict(type='mmseg_deeplab_ext.DeepLabTTAModel', scales=(0.5, 1.0), "
            "flip=True) and tta_pipeline=test_pipeline."
        )
    kind = step_name(cfg.tta_model)
    copies = any(step_name(step) == "TestTimeAug" for step in pipeline_steps(cfg.tta_pipeline))
    if kind == "DeepLabTTAModel" and copies:
        raise ConfigError(
            "--tta: tta_model is a DeepLabTTAModel, which scales and flips the padded image "
            "itself, but tta_pipeline has TestTimeAug. Take the official merge with "
            "tta_pipeline=test_pipeline, or MMSegmentation's with "
            "tta_model=dict(_delete_=True, type='SegTTAModel')."
        )
    if kind == "SegTTAModel" and not copies:
        raise ConfigError(
            "--tta: tta_model is a SegTTAModel, which merges the copies that TestTimeAug makes, "
            "but tta_pipeline has no TestTimeAug. Add it, or take "
            "tta_model=dict(type='mmseg_deeplab_ext.DeepLabTTAModel')."
        )
    for leaf in leaf_datasets(cfg.test_dataloader.dataset):
        leaf.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
