"""tools/train.py: one process, and what a user may get wrong."""

import importlib.util
import shutil
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image

from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    ConfigError,
    DatasetError,
)
from tests.test_tools.conftest import REPO, TOOLS, recorded, scalars


@pytest.fixture(scope="module")
def train():
    """The tool's main function, run in this process."""
    spec = importlib.util.spec_from_file_location("deeplab_tools_train", TOOLS / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *argv: module.main([str(argument) for argument in argv])


@pytest.mark.slow
def test_a_training_lowers_the_loss_validates_and_leaves_checkpoints(uninterrupted):
    iterations, last = recorded(uninterrupted)
    assert [line["iteration"] for line in iterations] == list(range(1, 9))
    assert iterations[-1]["loss"] < iterations[0]["loss"]
    assert last["model"] == "EncoderDecoder"
    assert len(scalars(uninterrupted.work_dir, "mIoU")) == 2
    assert {path.name for path in uninterrupted.work_dir.glob("*.pth")} == {
        "iter_4.pth",
        "iter_8.pth",
    }


@pytest.mark.slow
def test_amp_cfg_options_and_work_dir_take_effect(train, write_config, tmp_path):
    run = write_config("amp")
    train(
        run.config,
        "--amp",
        "--work-dir",
        tmp_path / "elsewhere",
        "--cfg-options",
        "train_cfg.max_iters=2",
        "train_dataloader.batch_size=2",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "optim_wrapper.optimizer.momentum=0.5",
    )
    iterations, _ = recorded(run)
    assert [len(line["images"]) for line in iterations] == [2, 2]
    assert all(0 < line["loss"] < 4 for line in iterations)
    used = Config.fromfile(tmp_path / "elsewhere" / "amp.py")
    assert used.optim_wrapper.type in ("AmpOptimWrapper", "mmseg_deeplab_ext.CpuAmpOptimWrapper")
    assert used.optim_wrapper.optimizer.momentum == 0.5
    assert used.global_batch_size is None
    log = next((tmp_path / "elsewhere").glob("*/*.log")).read_text()
    assert "train_dataloader.batch_size=2 from the command line" in log


@pytest.mark.slow
def test_the_training_tool_of_mmsegmentation_takes_the_config_too(call, write_config):
    run = write_config("stock", "train_cfg = dict(max_iters=2, val_interval=2)")
    tool = Path(mmseg.__file__).parent / ".mim" / "tools" / "train.py"
    result = call(tool, run.config)
    assert result.returncode == 0, result.stderr
    iterations, last = recorded(run)
    assert len(iterations) == 2
    assert last["model"] == "EncoderDecoder"


@pytest.mark.slow
def test_a_label_without_class_stops_a_training_before_its_first_iteration(
    call, write_config, data_root, tmp_path
):
    shutil.copytree(data_root, tmp_path / "data")
    names = (data_root / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    for name in names[:1]:
        path = tmp_path / "data" / "SegmentationClass" / f"{name}.png"
        Image.new("L", Image.open(path).size, 9).save(path)
    run = write_config(
        "bad_label", f"train_dataloader['dataset']['data_root'] = '{tmp_path / 'data'}'"
    )
    result = call(TOOLS / "train.py", run.config, "--check-labels")
    assert result.returncode == 1
    *_, problem, count = result.stderr.splitlines()
    assert f"error: {tmp_path}/data/SegmentationClass/{names[0]}.png: label values 9 are" in problem
    assert count == f"1 of the {len(names)} label maps that were read are bad."
    assert "Traceback" not in result.stderr
    assert not run.recorded.exists()  # what the iterations write


@pytest.mark.slow
@pytest.mark.parametrize("used", ["dumped", "own"])
def test_the_inference_functions_of_mmsegmentation_take_the_configs(used, uninterrupted, data_root):
    dumped = uninterrupted.work_dir / uninterrupted.config.name
    config = dumped if used == "dumped" else REPO / "configs" / "deeplabv3plus_r18beta_demo.py"
    checkpoint = str(uninterrupted.work_dir / "iter_8.pth")
    image = str(next((data_root / "JPEGImages").glob("*.jpg")))
    inferencer = MMSegInferencer(model=str(config), weights=checkpoint, device="cpu")
    first = inferencer(image, return_datasamples=True).pred_sem_seg.data
    model = init_model(str(config), checkpoint, device="cpu")
    second = inference_model(model, image).pred_sem_seg.data
    assert first.shape == (1, *Image.open(image).size[::-1])
    assert first.equal(second)


def test_an_unknown_config_file_is_named_without_a_traceback(call):
    result = call(TOOLS / "train.py", "configs/deeplabv4.py")
    assert result.returncode == 1
    assert "error: The config file configs/deeplabv4.py can't be read" in result.stderr
    assert "Traceback" not in result.stderr


def test_weights_to_start_from_that_are_damaged_are_named(train, write_config, tmp_path):
    (tmp_path / "start.pth").write_text("no checkpoint")
    run = write_config("damaged_start", f"load_from = '{tmp_path / 'start.pth'}'")
    with pytest.raises(CheckpointFormatError, match=r"start\.pth is no sound PyTorch file"):
        train(run.config)


def test_a_key_that_its_class_does_not_take_is_no_traceback(train, write_config):
    run = write_config("unknown_key", "model['backbone']['outputstride'] = 8")
    with pytest.raises(ConfigError, match="no key 'outputstride'. Did you mean 'output_stride'"):
        train(run.config)


def test_a_missing_data_set_stops_before_anything_is_built(train, write_config):
    run = write_config("no_data", 'train_dataloader["dataset"]["data_root"] = "/nowhere"')
    with pytest.raises(DatasetError, match="/nowhere"):
        train(run.config)
    assert not run.work_dir.exists()


def test_a_file_of_which_no_weight_fits_stops_before_the_first_iteration(
    train, write_config, tmp_path
):
    weights = tmp_path / "other.pth"
    torch.save({"state_dict": {"layer.weight": torch.zeros(3)}}, weights)
    run = write_config("other_weights", f"load_from = '{weights}'")
    with pytest.raises(CheckpointMismatchError, match=r"no weight of .*other\.pth fits"):
        train(run.config)
    assert not list(run.work_dir.glob("*.pth"))


def test_an_option_that_nothing_reads_is_refused_with_the_nearest_key(train, write_config):
    run = write_config("typo")
    with pytest.raises(ConfigError, match="Did you mean 'train_cfg'"):
        train(run.config, "--cfg-options", "train_cgf.max_iters=10")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("max_iters", "takes KEY=VALUE pairs, but got 'max_iters'"),
        ("=3", "takes KEY=VALUE pairs, but got '=3'"),
        ("crop=[(1,2]", "Imbalanced brackets"),
        ("param_scheduler=[dict(type='PolyLR',power=1)]", "Set their keys one by one"),
        ("optim_wrapper.clip_grad={'max_norm':1}", "but no dictionaries"),
    ],
)
def test_an_option_that_is_no_pair_is_a_usage_error(train, write_config, capsys, option, message):
    with pytest.raises(SystemExit) as caught:
        train(REPO / "configs" / "deeplabv3plus_r18beta_demo.py", "--cfg-options", option)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_an_option_below_a_value_that_has_no_keys_is_refused(train, write_config):
    run = write_config("no_keys")
    with pytest.raises(ConfigError, match="--cfg-options does not fit"):
        train(run.config, "--cfg-options", "train_dataloader.dataset.pipeline.9.scale=3")


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_a_launcher_without_its_environment_is_explained(
    train, write_config, launcher, monkeypatch
):
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    run = write_config(f"launcher_{launcher}")
    with pytest.raises(ConfigError, match=f"--launcher {launcher} needs the environment variable"):
        train(run.config, "--launcher", launcher)


def test_a_number_of_processes_that_can_not_share_the_batch_is_refused(
    train, write_config, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "3")
    run = write_config("three_processes")
    with pytest.raises(ConfigError, match="4 can't be shared evenly by 3 process"):
        train(run.config, "--launcher", "pytorch")
    assert not run.work_dir.exists()
