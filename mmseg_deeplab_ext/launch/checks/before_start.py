"""All that is checked before anything is built: a new check is a line in one of the tables here."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import ConfigError, DatasetError, DeepLabExtError
from mmseg_deeplab_ext.launch.checks.class_counts import problems_of_class_counts
from mmseg_deeplab_ext.launch.checks.dataset_files import problems_of_files
from mmseg_deeplab_ext.launch.checks.evaluation import notes_on_scores, problems_of_scores
from mmseg_deeplab_ext.launch.checks.ignored_label import problems_of_ignored_label
from mmseg_deeplab_ext.launch.checks.keys import notes_on_keys
from mmseg_deeplab_ext.launch.checks.parts import problems_of_inference, problems_of_parts
from mmseg_deeplab_ext.launch.checks.pipelines import problems_of_pipelines
from mmseg_deeplab_ext.launch.checks.recipe import notes_on_recipe
from mmseg_deeplab_ext.launch.checks.schedule import notes_on_schedule, problems_of_schedule
from mmseg_deeplab_ext.launch.checks.taps import problems_of_taps

Check = Callable[[ConfigView], List[str]]

PROBLEMS: Mapping[Check, type[DeepLabExtError]] = {
    problems_of_parts: ConfigError,  # first: the others look at the classes
    problems_of_taps: ConfigError,
    problems_of_class_counts: ConfigError,
    problems_of_pipelines: ConfigError,
    problems_of_files: DatasetError,
    problems_of_ignored_label: ConfigError,
    problems_of_scores: ConfigError,
    problems_of_schedule: ConfigError,
}
"""What finds the lines of a message about the impossible -> the error that it becomes."""

NOTES: tuple[Check, ...] = (notes_on_keys, notes_on_recipe, notes_on_scores, notes_on_schedule)
"""What finds sentences about the odd."""


def check_inference_config(cfg: Mapping[str, Any], *, pipeline: Any = ()) -> None:
    """Demand parts that exist, and fit together, of what predicts without a Runner.

    Args:
        cfg: A whole config.
        pipeline: Its test pipeline, if that is used.

    Raises:
        ConfigError: A type is unknown, or does not take a key; or a decoder takes a feature that
            the backbone does not have.
    """
    lines = problems_of_inference(cfg, pipeline)
    lines = lines or problems_of_taps(ConfigView.of(cfg, splits=()))
    if lines:
        raise ConfigError("\n".join(lines))


def check_config(view: ConfigView) -> list[str]:
    """Demand that a run is possible, as far as can be seen without building anything.

    Returns warnings for the log.
    """
    for find, error in PROBLEMS.items():
        lines = find(view)
        if lines:
            raise error("\n".join(lines))
    return [note for find in NOTES for note in find(view)]
