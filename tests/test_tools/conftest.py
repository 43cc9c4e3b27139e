"""A tiny data set and config, and runs of the tools in processes of their own."""

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from tests.support.warm_python import unformatted, warm_python
from tests.test_tools.slurm_stubs import SCONTROL, SRUN

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / "tools"

# Everything that makes two runs differ is off: augmentation, dropout, batch statistics. The head's
# batch norms would otherwise also see the batch size.
CONFIG = """
_base_ = "{repo}/configs/deeplabv3plus_r18beta_demo.py"
custom_imports = dict(imports=["tests.test_tools.recorder"])
custom_hooks = [
    dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook"),
    dict(type="mmseg_deeplab_ext.FreezeBatchNormHook"),
    dict(type="TrainingRecorder", folder="{recorded}"),
]
norm_cfg = dict(type="BN")
model = dict(
    data_preprocessor=dict(size=(65, 65)),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(dropout_ratio=0.0, norm_cfg=norm_cfg),
)
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale=(65, 65)),
    dict(type="PackSegInputs"),
]
global_batch_size = 4
train_dataloader = dict(
    batch_size=4, dataset=dict(data_root="{data}", pipeline=pipeline)
)
val_dataloader = dict(dataset=dict(data_root="{data}"))
test_dataloader = val_dataloader
# So small that the predictions stay mixed: scores of plain background would prove nothing.
optim_wrapper = dict(optimizer=dict(lr=0.0002))
param_scheduler = [dict(type="PolyLR", power=0.9, begin=0, end=8, by_epoch=False)]
train_cfg = dict(max_iters=8, val_interval=4)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=4, max_keep_ckpts=2, save_best=None)
)
work_dir = "{work_dir}"
"""


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Twelve training and four validation scenes, none with ignored pixels."""
    root = tmp_path_factory.mktemp("demo") / "scenes"
    make_demo_dataset(root, DemoSpec(train=12, val=4))
    for path in (root / "SegmentationClass").glob("*.png"):
        label = np.array(Image.open(path))
        label[label == 255] = 0
        Image.fromarray(label).save(path)
    return root


@pytest.fixture(scope="session")
def write_config(tmp_path_factory, data_root):
    """Write the tiny config with a work directory of its own; further lines come at its end."""

    def write(name, *lines):
        folder = tmp_path_factory.mktemp(name)
        run = SimpleNamespace(
            config=folder / f"{name}.py", work_dir=folder / "work", recorded=folder / "recorded"
        )
        text = CONFIG.format(
            repo=REPO, data=data_root, recorded=run.recorded, work_dir=run.work_dir
        )
        run.config.write_text("\n".join([text, *lines]) + "\n")
        return run

    return write


@pytest.fixture(scope="session", autouse=True)
def _configs_are_not_formatted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yapf.yapflib.yapf_api.FormatCode", unformatted)
        yield


@pytest.fixture(scope="session")
def python():
    """A command like ``python``, with the stack imported; its folder has nothing else to run."""
    # Not in pytest's folder: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory() as folder, warm_python(Path(folder)) as command:
        yield command


@pytest.fixture(scope="session")
def call(python):
    """Run a command with this interpreter's environment; returns code and output."""

    def run(*command, cwd=REPO, **environment):
        path = [str(REPO), os.environ.get("PYTHONPATH")]  # the recorder is in the repository
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHON": str(python),  # for the scripts, and PYTHON_EXEC for torchrun
            "PYTHON_EXEC": str(python),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            **environment,
        }
        if str(command[0]).endswith(".py"):
            command = (python, *command)
        return subprocess.run(
            [str(part) for part in command],
            cwd=str(cwd),
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def slurm_stubs(tmp_path_factory):
    """A folder with srun, which writes its options to the file SRUN_RECORD, and scontrol."""
    folder = tmp_path_factory.mktemp("stubs")
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(write_config, call):
    """Eight iterations in one process, with validations after four and eight."""
    run = write_config("uninterrupted")
    result = call(TOOLS / "train.py", run.config)
    assert result.returncode == 0, result.stderr
    run.output = result.stdout
    return run


def recorded(run, rank=0):
    """Iterations that a process wrote down, and its last line."""
    lines = (run.recorded / f"rank{rank}.jsonl").read_text().splitlines()
    values = [json.loads(line) for line in lines]
    return [line for line in values if "loss" in line], values[-1]


def scalars(work_dir, key):
    """All values of a scalar that the newest run in a work directory logged, in their order."""
    newest = max(path for path in Path(work_dir).iterdir() if path.is_dir())
    logs = [newest / "vis_data" / "scalars.json", newest / f"{newest.name}.json"]
    text = "".join(path.read_text() + "\n" for path in logs if path.exists())
    lines = [json.loads(line) for line in text.splitlines() if line]
    return [round(line[key], 4) for line in lines if key in line]


def free_port():
    """A port that no one listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
