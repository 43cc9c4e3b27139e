"""An evaluation with the segmentor made quick."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from mmseg_deeplab_ext.inference.optimise import optimise


class OptimisedEvaluationHook(Hook):
    """Evaluate an optimised copy; the Runner's own model is back when the epoch ends.

    Whatever exchanges weights before an epoch, as MMEngine's EMAHook does, has a higher priority.
    """

    priority = "LOWEST"

    def __init__(self, dtype: str = "fp32") -> None:
        self._dtype = dtype

    def before_test_epoch(self, runner: Runner) -> None:
        """Put the copy in place, with the weights that are to be evaluated."""
        self._model = runner.model
        model = self._model.module if is_model_wrapper(self._model) else self._model
        if isinstance(model, BaseTTAModel):
            self._augmented, self._segmentor = model, model.module
            model.module = optimise(model.module, dtype=self._dtype)
            runner.model = model
        else:
            self._augmented = None
            runner.model = optimise(model, dtype=self._dtype)

    def after_test_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Put the Runner's own model back."""
        runner.model = self._model
        if self._augmented is not None:
            self._augmented.module = self._segmentor
