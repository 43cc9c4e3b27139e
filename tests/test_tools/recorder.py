"""A hook that writes down what each process of a training saw, for the tests to compare."""

import hashlib
import json
import os
import signal
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS


@HOOKS.register_module()
class TrainingRecorder(Hook):
    """Append one line of JSON per iteration to ``folder/rank<N>.jsonl``.

    Args:
        folder: Where to write; made if absent.
        kill_at: Iteration (counted from 1) after which the process kills itself, as ``kill -9``
            would; None for never.
    """

    priority = "VERY_LOW"  # after the checkpoint of an iteration was written

    def __init__(self, folder, kill_at=None):
        self.folder = Path(folder)
        self.kill_at = kill_at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.lr = runner.optim_wrapper.get_lr()["lr"][0]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        images = [Path(sample.img_path).stem for sample in data_batch["data_samples"]]
        self._write(
            runner,
            iteration=runner.iter + 1,
            loss=outputs["loss"].item(),
            lr=self.lr,
            images=images,
        )
        if runner.iter + 1 == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def after_train(self, runner):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        digest = hashlib.sha256()
        for parameter in model.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        wrapped = type(runner.model).__name__
        self._write(runner, parameters=digest.hexdigest(), world=runner.world_size, model=wrapped)

    def _write(self, runner, **values):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"rank{runner.rank}.jsonl", "a") as file:
            file.write(json.dumps(values) + "\n")
