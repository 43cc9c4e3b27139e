"""A TensorFlow checkpoint as files for MMSegmentation: a ``.pth`` and the config of its network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmseg_deeplab_ext.atomic_files import file_made_whole, write_atomically
from mmseg_deeplab_ext.checkpoints.ade20k import network_without_background, without_background
from mmseg_deeplab_ext.checkpoints.config_file import config_text, network_config
from mmseg_deeplab_ext.checkpoints.convert import read_state_dict
from mmseg_deeplab_ext.checkpoints.dataset_meta import checkpoint_meta
from mmseg_deeplab_ext.checkpoints.errors import CheckpointWriteError
from mmseg_deeplab_ext.checkpoints.plan import Plan
from mmseg_deeplab_ext.checkpoints.reader import Checkpoint
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.tool_paths import tool_path


@dataclass(frozen=True)
class Outputs:
    """The files to write.

    Attributes:
        pth: the weights.
        config: the config, or None.
        overwrite: whether files that are there already may be replaced.
    """

    pth: Path
    config: Path | None = None
    overwrite: bool = False

    def __str__(self) -> str:
        return ", ".join(map(str, self._paths()))

    def _paths(self) -> list[Path]:
        return [self.pth] if self.config is None else [self.pth, self.config]

    def check(self) -> None:
        """Demand that the files can be written, before any work is done.

        Raises:
            CheckpointWriteError: naming every file that is in the way or can't be written.
        """
        problems = []
        for path in self._paths():
            folder = path.parent
            if not folder.is_dir():
                problems.append(f"{path}: the folder {folder} does not exist; create it")
            elif path.is_dir():
                problems.append(f"{path} is a folder, expected the name of a file")
            elif path.exists() and not self.overwrite:
                problems.append(f"{path} exists already; --force overwrites it")
            elif not os.access(folder, os.W_OK):
                problems.append(f"{path}: the folder {folder} is not writable")
        if self.config is not None and self.config.suffix != ".py":
            problems.append(f"{self.config}: the config must be named *.py")
        if problems:
            raise CheckpointWriteError("\n".join(problems))


def convert(
    checkpoint: Checkpoint,
    plan: Plan,
    outputs: Outputs,
    *,
    dry_run: bool = False,
    ade150: bool = False,
    **config: Any,
) -> None:
    """Write the files; each appears whole or not at all.

    Args:
        checkpoint: an open checkpoint.
        plan: what :func:`plan_conversion` returned for it.
        outputs: the files.
        dry_run: check all that can be checked, and write nothing.
        ade150: turn the 151 channels of ADE20K into MMSegmentation's 150 classes.
        config: arguments of :func:`network_config`; they count if a config is written.

    Raises:
        CheckpointError: the checkpoint is damaged, is no complete segmentor although a config is
            wanted, has not the 151 channels that ``ade150`` is about, or a file can't be written.
        ConfigError: the network can't be built with these arguments.
    """
    network = network_without_background(plan.network) if ade150 else plan.network
    texts = {}
    if outputs.config is not None:
        cfg = network_config(network, **config)
        with torch.device("meta"):  # whether they can be built, at no cost
            for part in network.configs():
                MODELS.build(cfg.model[part])
        command = f"python {tool_path('test.py')} {outputs.config} {outputs.pth}"
        title = f"{network}, from {os.path.basename(checkpoint.path)}."
        texts[outputs.config] = config_text(cfg, title=title, command=command)
    if dry_run:
        return
    outputs.check()
    state_dict = read_state_dict(checkpoint, plan)
    if ade150:
        state_dict = without_background(state_dict)
    content = {"meta": checkpoint_meta(network), "state_dict": state_dict}
    try:
        with file_made_whole(outputs.pth) as temporary, temporary.open("wb") as stream:
            torch.save(content, stream)
        for path, text in texts.items():
            write_atomically(path, text.encode())
    except OSError as error:
        raise CheckpointWriteError(f"{outputs} can't be written: {error}") from error


def name_table(checkpoint: Checkpoint, plan: Plan) -> list[str]:
    """One line per variable: its name and shape, and the tensor it becomes or why it is ignored."""
    rows = [
        (name, checkpoint.shape(name), f"-> {rule.torch_name} ({rule.layout})")
        for rule, name in plan.sources
    ]
    rows += [(name, checkpoint.shape(name), f"-- {why}") for name, why in plan.ignored.items()]
    width = max(len(name) for name, _, _ in rows)
    return [f"{name:<{width}}  {list(shape)!s:<22}  {target}" for name, shape, target in rows]
