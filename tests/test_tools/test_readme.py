"""The README is true: its commands run, its files exist, its config builds.

The commands run as they stand in a folder that looks like the checkout: there the config of the
README is a tiny one, and its checkpoint one of the tiny network. The model zoo is a server on
loopback.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.checkpoints.zoo_table import ZOO, find_entry
from tests.support.file_server import serve
from tests.support.small_configs import shrunk
from tests.support.tf_files import MNV2_VOC, packed, write_network
from tests.support.voc_layout import write_voc_folder
from tests.test_package.test_wheel import SOURCES
from tests.test_tools.conftest import REPO, free_port

README = (REPO / "README.md").read_text()
CONFIG = "configs/deeplabv3plus_r101beta_voc.py"
OF_THE_ZOO = "configs/zoo/xception65_coco_voc_trainaug.py"
FINE_TUNING = "configs/deeplabv3plus_xception65_voc.py"
EVALUATION_AT_8 = "configs/deeplabv3plus/deeplabv3plus_r101beta-d8_eval_voc12-513x513.py"
CHECKPOINT = "work_dirs/deeplabv3plus_r101beta_voc/iter_30000.pth"

# The only words of the commands that are replaced.
SUBSTITUTES = {r"(dist_\w+\.sh .*) 8$": r"\1 2", r"MASTER_ADDR=node0": "MASTER_ADDR=127.0.0.1"}
# Continuous integration runs these: the words, and the file in which it does.
RUN_BY_CI = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "tools/make_env.sh": "Makefile",
}
# What a command must have printed.
PRINTED = {
    r"tools/(dist_|slurm_)?train": "Saving checkpoint at 1 iterations",
    r"tools/(dist_|slurm_)?test": "mIoU: ",
    r"tf2mmseg": "272 tensors used",
    r"mmseg2tf": "272 variables",
    r"predict": "predicted: 4 of 4 images",
    r"export": "verified",
    r"mmseg_deeplab_ext zoo": "resnet_v1_101_beta_imagenet",
    r"prepare_voc": "the VOCaug training set: 3",
    r"pip install": "Successfully installed mmseg-deeplab-ext",
    r"mmseg_deeplab_ext check": "mmseg",
}


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def snippets():
    """The variables that each piece of a config sets, by a key that only it has."""
    found = {}
    for text in re.findall(r"```python\n(.*?)```", README, re.S):
        (key,) = (key for key in ("tf-zoo://", "auxiliary_head") if key in text)
        exec(text, found.setdefault(key, {}))
    return found


def runs_in_ci(command):
    return any(command.startswith(words) for words in RUN_BY_CI)


@pytest.fixture(scope="module")
def checkout(write_config, uninterrupted, tmp_path_factory):
    """A folder for the commands, with a training of one iteration behind the README's config."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("deeplabv3plus", "zoo"):
        (folder / "configs" / name).mkdir(parents=True)
    (folder / "tools").symlink_to(REPO / "tools")
    run = write_config(
        "readme",
        "work_dir = None",
        "custom_hooks = custom_hooks[:1]",
        "train_cfg = dict(max_iters=1, val_interval=1)",
        'default_hooks["checkpoint"]["interval"] = 1',
    )
    shutil.copy(run.config, folder / CONFIG)
    (folder / EVALUATION_AT_8).write_text(
        f'_base_ = "../{Path(CONFIG).name}"\n'
        "model = dict(\n"
        "    backbone=dict(output_stride=8), decode_head=dict(dilations=(1, 12, 24, 36))\n"
        ")\n"
    )
    for name in (OF_THE_ZOO, FINE_TUNING):
        shrunk(REPO / name).dump(folder / name)
    write_voc_folder(folder / "data" / "VOCdevkit" / "VOC2012")
    (folder / "photos").symlink_to(folder / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages")
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    shutil.copy(uninterrupted.work_dir / "iter_8.pth", folder / CHECKPOINT)
    return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The address of a model zoo with the archives that the README names, of a small network."""
    folder = tmp_path_factory.mktemp("zoo") / "deeplabv3_mnv2_dm05_pascal_trainaug"
    folder.mkdir()
    write_network(folder / "model.ckpt", MNV2_VOC)
    with serve() as server:
        for name in ("mobilenetv2_dm05_coco_voc_trainaug", "xception65_coco_voc_trainaug"):
            server.files[find_entry(name).archive] = packed(folder)
        yield server.url("")


@pytest.fixture
def start(checkout, python, slurm_stubs, zoo):
    """Start a command of the README."""

    def run(command, cwd=checkout, **environment):
        for words, substitute in SUBSTITUTES.items():
            command = re.sub(words, substitute, command)
        path = [python.parent, slurm_stubs, Path(sys.executable).parent, os.environ["PATH"]]
        environment = {
            **os.environ,
            "DEEPLAB_ZOO_URL": zoo,
            "GPUS": "2",
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join(str(part) for part in path),
            "PYTHONPATH": str(REPO),
            "PYTHON_EXEC": str(python),
            "SRUN_RECORD": os.devnull,
            "TORCH_HOME": str(checkout / "cache"),
            **environment,
        }
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=str(cwd),
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return run


def finish(process, command):
    """Wait for a command; it must end well, with the words that tell what it did."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    (words,) = [words for tool, words in PRINTED.items() if re.search(tool, command)]
    assert words in output


@pytest.mark.slow
@pytest.mark.parametrize("command", [line for line in commands() if not runs_in_ci(line)])
def test_the_command_runs(command, start, tmp_path):
    if command == "pip install .":
        (tmp_path / "source").mkdir()
        for name in SOURCES:
            copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
            copy(REPO / name, tmp_path / "source" / name)
        aside = f"{command} --no-deps --no-build-isolation --target {tmp_path / 'installed'}"
        finish(start(aside, cwd=tmp_path / "source"), command)
        assert (tmp_path / "installed" / "mmseg_deeplab_ext" / "plugins.py").exists()
    elif command.startswith("NNODES=2"):
        command = command.rpartition(" ")[0] + " 1"
        port = free_port()
        machines = [start(command.replace("RANK=0", f"RANK={n}"), PORT=port) for n in (0, 1)]
        finish(machines[0], command)
        output, _ = machines[1].communicate(timeout=60)
        assert machines[1].returncode == 0, output
    else:
        port = free_port()
        finish(start(command, PORT=port, MASTER_PORT=port), command)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        f"python tools/test.py {CONFIG} {CHECKPOINT} --tta --out labels --show-dir overlays",
        f"python tools/train.py {CONFIG} --amp --resume --cfg-options "
        "model.backbone.with_cp=True train_dataloader.batch_size=2 "
        "optim_wrapper.accumulative_counts=2 work_dir=small_memory",
    ],
)
def test_the_options_that_it_mentions_work(command, start, checkout):
    finish(start(command), command)
    if "--tta" in command:
        assert len(list((checkout / "labels").glob("*.png"))) == 4
        assert len(list((checkout / "overlays" / "vis_data" / "vis_image").glob("*.png"))) == 4


def test_the_other_commands_are_run_by_continuous_integration():
    for words, file in RUN_BY_CI.items():
        assert words in README
        lines = (REPO / file).read_text().splitlines()
        assert any(words in line and not line.startswith("#") for line in lines), words


def test_every_file_it_names_exists():
    named = re.findall(r"(?:configs|docs|tools)/[\w./-]+", README)
    missing = [name for name in named if not (REPO / name.rstrip(".")).exists()]
    assert named
    assert not missing


def test_the_config_for_your_own_use_builds():
    register_all_modules()
    model = MODELS.build(ConfigDict(snippets()["auxiliary_head"]["model"]))
    assert type(model.backbone).__name__ == "ResNetV1Beta"
    assert model.auxiliary_head.in_channels == 1024


def test_the_weights_it_names_are_in_the_zoo_and_of_a_network_that_is_built_here():
    init_cfg = snippets()["tf-zoo://"]["model"]["backbone"]["init_cfg"]
    assert init_cfg["type"] == "Pretrained"
    assert find_entry(init_cfg["checkpoint"]) in ZOO
