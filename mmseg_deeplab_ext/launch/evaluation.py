"""From a config to the Runner of an evaluation: what ``tools/test.py`` calls."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.weights import check_evaluable
from mmseg_deeplab_ext.launch.adapt import adapt_evaluation
from mmseg_deeplab_ext.launch.checks.before_start import check_config
from mmseg_deeplab_ext.launch.checks.built_runner import check_runner
from mmseg_deeplab_ext.launch.checks.larger_images import LargerImagesHook
from mmseg_deeplab_ext.launch.runner import CheckedEvaluation, build_runner
from mmseg_deeplab_ext.writable import check_output_folders


def evaluation_runner(
    cfg: Config,
    *,
    checkpoint: str,
    out: str | None = None,
    tta: bool = False,
    every_label: bool = False,
) -> Runner:
    """Build the Runner for an evaluation on the test split.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        checkpoint: File, or an address with a scheme that MMEngine knows.
        out: Directory for the predicted label images, one PNG of class indices per image.
        tta: Evaluate the config's ``tta_model`` (``--tta``).
        every_label: Read every label map first, not only a few.

    Raises:
        ConfigError: The config lacks what an argument needs, or a folder can't be written into.
            Running it raises one too, or a CheckpointError, before the first image, if the
            checkpoint has other classes, or does not fit.
        CheckpointError: The checkpoint does not exist.
        DatasetError: A file of the test split is missing, or a label map that was read is bad.
    """
    check_evaluable(checkpoint)
    # Before the checks: --tta changes which files the data sets need.
    unused, notes = adapt_evaluation(cfg, checkpoint=checkpoint, out=out, tta=tta)
    view = ConfigView.of(cfg, splits=("test",))
    warnings = [*check_config(view), *unused]
    show_dir = cfg.get("visualizer", {}).get("save_dir")
    check_output_folders({"--work-dir": cfg.get("work_dir"), "--out": out, "--show-dir": show_dir})
    runner = build_runner(cfg, CheckedEvaluation, warnings=warnings, notes=notes)
    check_runner(runner, view, every_label=every_label)
    runner.register_hook(LargerImagesHook())
    return runner
