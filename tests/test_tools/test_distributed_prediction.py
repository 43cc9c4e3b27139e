"""tools/dist_predict.sh and slurm_predict.sh: several processes, one run."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.apis import init_model
from PIL import Image

from mmseg_deeplab_ext.plugins import load_plugins
from tests.support.tool_modules import load_tool
from tests.test_prediction.conftest import CONFIG
from tests.test_tools.conftest import TOOLS, free_port

NAMES = [f"{number:02}" for number in range(40)]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A tiny network, and its config also with a step in which the second process dies."""
    folder = tmp_path_factory.mktemp("tiny")
    net = SimpleNamespace(config=folder / "tiny.py", dying=folder / "dies.py", pth=folder / "n.pth")
    net.config.write_text(CONFIG)
    step = f'dict(type="DieInSecondProcess", file="{folder / "dead"}")'
    net.dying.write_text(
        CONFIG
        + 'custom_imports = dict(imports=["tests.test_tools.predicting"])\n'
        + f"test_pipeline.insert(1, {step})\n"
    )
    load_plugins()
    torch.save({"state_dict": init_model(str(net.config), device="cpu").state_dict()}, net.pth)
    return net


@pytest.fixture
def images(tmp_path):
    """A folder of images of noise."""
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for name in NAMES:
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


def labels(tmp_path):
    """The names of the label maps, each of which can be read."""
    files = sorted((tmp_path / "out/labels").glob("*.png"))
    assert all(np.asarray(Image.open(file)).shape == (20, 20) for file in files)
    return [file.stem for file in files]


def test_two_processes_predict_each_image_once_and_report_once(call, net, images, tmp_path):
    (images / "empty.jpg").touch()
    result = call(
        *(TOOLS / "dist_predict.sh", net.config, net.pth, 2, images, "--out", "out"),
        cwd=tmp_path,
        PORT=free_port(),
        CUDA_VISIBLE_DEVICES="",
    )
    assert result.returncode == 1
    assert labels(tmp_path) == NAMES
    assert result.stdout.count("predicted: ") == 1
    assert "predicted: 40 of 41 images" in result.stdout
    assert "images/s on cpu x 2)" in result.stdout
    assert result.stderr.count("predicting: 100 % (41 of 41 images)") == 1
    assert result.stderr.count("not predicted: 1 of 41 images") == 1
    assert result.stderr.count(f"  {images / 'empty.jpg'}: the file is empty") == 1


def test_a_run_of_which_a_process_dies_fails_reports_and_is_continued(
    call, net, images, tmp_path, monkeypatch, capsys
):
    options = (images, "--out", tmp_path / "out", "--no-overlay")
    result = call(
        *(TOOLS / "dist_predict.sh", net.dying, net.pth, 2, *options),
        cwd=tmp_path,
        PORT=free_port(),
        CUDA_VISIBLE_DEVICES="",
    )
    assert result.returncode != 0
    done = len(labels(tmp_path))
    assert 2 <= done < 40
    assert f"predicted: {done} of 40 images" in result.stdout
    assert f"not reached: {40 - done} of 40 images; --skip-existing" in result.stderr
    command = [net.dying, net.pth, *options, "--device", "cpu", "--skip-existing"]
    assert load_tool("predict").main([str(word) for word in command]) == 0
    assert f"predicted: {40 - done} of 40 images" in capsys.readouterr().out
    assert labels(tmp_path) == NAMES


def test_the_tasks_of_slurm_share_the_images_and_refuse_a_command_once(
    call, slurm_stubs, net, images, tmp_path
):
    def run():
        return call(
            *(TOOLS / "slurm_predict.sh", "part", "job", net.config, net.pth),
            *(images, "--out", "out"),
            cwd=tmp_path,
            PATH=f"{slurm_stubs}:{os.environ['PATH']}",
            SRUN_RECORD=str(tmp_path / "options.json"),
            MASTER_PORT=free_port(),
            GPUS="2",
            CUDA_VISIBLE_DEVICES="",
        )

    first, again = run(), run()
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("predicted: 40 of 40 images") == 1
    assert labels(tmp_path) == NAMES
    assert again.returncode == 1
    assert again.stderr.count("files to write exist already") == 1
    assert "Traceback" not in again.stderr
