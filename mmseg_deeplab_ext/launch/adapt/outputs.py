"""Predictions as files and in windows: the options ``--out``, ``--show`` and ``--show-dir``."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.evaluation import iou_metrics


def draw_predictions(
    cfg: Config, *, show: bool = False, wait_time: float = 2, directory: str | None = None
) -> None:
    """Let the visualisation hook draw every prediction.

    Args:
        cfg: Config with ``default_hooks.visualization``; without it a ConfigError is raised.
        show: Open a window per image.
        wait_time: Seconds that a window stays.
        directory: Where to save the pictures, below its ``vis_data/vis_image``.
    """
    hook = cfg.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise ConfigError(
            "--show and --show-dir need the visualisation hook. Add "
            "`default_hooks = dict(visualization=dict(type='SegVisualizationHook'))` to the config."
        )
    hook.draw = True
    hook.interval = 1  # OpenMMLab's hook skips test images too; OneDL's draws each of them anyway
    if show:
        hook.show = True
        hook.wait_time = wait_time
    if directory is not None:
        cfg.visualizer.save_dir = directory


def write_predictions(cfg: Config, directory: str) -> None:
    """Let the metric write the predicted label images into a directory (``--out``)."""
    metrics = iou_metrics(cfg.get("test_evaluator"))
    if not metrics:
        raise ConfigError("--out needs an IoUMetric in the config's test_evaluator.")
    metrics[0]["output_dir"] = directory
