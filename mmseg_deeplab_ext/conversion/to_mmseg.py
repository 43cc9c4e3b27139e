"""A TensorFlow checkpoint as files for MMSegmentation: a ``.pth`` and the config of its network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Mapping

import torch
from mmengine.config import Config

from mmseg_deeplab_ext.atomic_files import file_made_whole, write_atomically
from mmseg_deeplab_ext.checkpoints.reader import Checkpoint
from mmseg_deeplab_ext.conversion.ade20k import network_without_background, without_background
from mmseg_deeplab_ext.conversion.config_file import config_text, network_config
from mmseg_deeplab_ext.conversion.dataset_meta import checkpoint_meta
from mmseg_deeplab_ext.conversion.from_tensorflow import read_state_dict
from mmseg_deeplab_ext.conversion.plan import Plan
from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointWriteError
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.network import NetworkSpec, network_of_model
from mmseg_deeplab_ext.tool_paths import tool_path
from mmseg_deeplab_ext.writable import problems_of_files


@dataclass(frozen=True)
class Outputs:
    """The files to write.

    Attributes:
        pth: the weights; None where nothing is to be written.
        config: the config, or None.
        overwrite: whether files that are there already may be replaced.
    """

    pth: Path | None
    config: Path | None = None
    overwrite: bool = False

    def __str__(self) -> str:
        return ", ".join(map(str, self._paths()))

    def _paths(self) -> list[Path]:
        return [path for path in (self.pth, self.config) if path is not None]

    def check(self) -> None:
        """Demand that the files can be written, before any work is done.

        Raises:
            CheckpointWriteError: naming every file that is in the way or can't be written.
        """
        problems = problems_of_files(self._paths(), overwrite=self.overwrite)
        if self.config is not None and self.config.suffix != ".py":
            problems.append(f"{self.config}: the config must be named *.py")
        if len({path.resolve() for path in self._paths()}) < len(self._paths()):
            problems.append(f"{self}: the weights and the config can't be the same file")
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
        outputs: the files; without a ``.pth`` no value is read, unless in a dry run.
        dry_run: check all that can be checked, every value that is used too, and write nothing.
        ade150: turn the 151 channels of ADE20K into MMSegmentation's 150 classes.
        config: arguments of :func:`network_config`; they count if a config is written.

    Raises:
        CheckpointError: the checkpoint is damaged, is no complete segmentor although a config is
            wanted, the config's network would be another one, it has not the 151 channels that
            ``ade150`` is about, or a file can't be written.
        ConfigError: the network can't be built with these arguments.
    """
    network = network_without_background(plan.network) if ade150 else plan.network
    outputs.check()
    texts = {}
    if outputs.config is not None:
        cfg = network_config(network, **config)
        _check_network(cfg, network)
        cfg.load_from = str(outputs.pth)  # a training with this config starts from the weights
        command = f"python {tool_path('test.py')} {outputs.config} {outputs.pth}"
        title = f"{network}, from {os.path.basename(checkpoint.path)}."
        texts[outputs.config] = config_text(cfg, title=title, command=command)
    if outputs.pth is None and not dry_run:
        return
    state_dict = read_state_dict(checkpoint, plan)
    if ade150:
        state_dict = without_background(state_dict)
    if outputs.pth is None or dry_run:
        return
    write_files(outputs.pth, {"meta": checkpoint_meta(network), "state_dict": state_dict}, texts)


def write_files(pth: Path, content: Any, texts: Mapping[Path, str]) -> None:
    """Write what a ``.pth`` is to hold, then the texts; each file appears whole or not at all."""
    try:
        with file_made_whole(pth) as temporary, temporary.open("wb") as stream:
            torch.save(content, stream)
        for path, text in texts.items():
            write_atomically(path, text.encode())
    except OSError as error:
        files = ", ".join(map(str, (pth, *texts)))
        raise CheckpointWriteError(f"{files} can't be written: {error}") from error


def _check_network(cfg: Config, network: NetworkSpec) -> None:
    """Demand that a config can be built, and builds the network that the file holds."""
    with torch.device("meta"):  # at no cost
        parts = {part: MODELS.build(cfg.model[part]) for part in network.parts}
    built = network_of_model(SimpleNamespace(**parts))
    differences = [
        f"{key}: {value} in the file, {cfg.model[part].get(key)} in the config"
        for part, spec in network.parts.items()
        for key, value in spec.options().items()
        if built.parts[part].options()[key] != value
    ]
    if differences:
        raise CheckpointMismatchError(
            f"the config would build another network than {network}. {'; '.join(differences)}"
        )


def name_table(checkpoint: Checkpoint, plan: Plan | None = None) -> list[str]:
    """One line per variable: its name and shape, and the tensor it becomes or why it is ignored.

    Args:
        checkpoint: an open checkpoint.
        plan: what becomes of the variables; without it the lines end with the shape.
    """
    if plan is None:
        targets = dict.fromkeys(checkpoint, "")
    else:
        targets = {name: f"-> {rule.torch_name} ({rule.layout})" for rule, name in plan.sources}
        targets.update({name: f"-- {why}" for name, why in plan.ignored.items()})
    width = max(map(len, targets), default=0)
    return [
        f"{name:<{width}}  {list(checkpoint.shape(name))!s:<22}  {target}".rstrip()
        for name, target in targets.items()
    ]
