"""tools/test.py: the scores of a checkpoint, its predictions as files, and wrong arguments."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    ConfigError,
)
from tests.test_tools.conftest import TOOLS, free_port, scalars

OTHER_NETWORK = (
    r"(?s)other\.pth does not fit .* trained for 5 classes, the model has 7.* missing in the file: "
    r"backbone\."
)


@pytest.fixture(scope="module")
def evaluate():
    """The tool's main function, run in this process."""
    spec = importlib.util.spec_from_file_location("deeplab_tools_test", TOOLS / "test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *argv: module.main([str(argument) for argument in argv])


@pytest.fixture(scope="module")
def tested(uninterrupted, call, tmp_path_factory):
    """One run of the tool on the checkpoint of a training whose images are gone, with files."""
    folder = tmp_path_factory.mktemp("tested")
    result = call(
        TOOLS / "test.py",
        uninterrupted.config,
        uninterrupted.work_dir / "iter_8.pth",
        "--work-dir",
        folder / "work",
        "--out",
        folder / "labels",
        "--show-dir",
        folder / "pictures",
        "--cfg-options",
        "train_dataloader.dataset.data_root=/nowhere",
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
def test_a_checkpoint_gets_the_scores_that_its_training_logged(uninterrupted, tested):
    first, last = scalars(uninterrupted.work_dir, "aAcc")
    assert scalars(tested / "work", "aAcc") == [last]
    assert scalars(tested / "work", "mIoU") == scalars(uninterrupted.work_dir, "mIoU")[-1:]
    assert first != last, "two equal checkpoints prove nothing"


@pytest.mark.slow
def test_out_holds_one_label_image_of_classes_per_image(tested, data_root):
    names = (data_root / "ImageSets" / "Segmentation" / "val.txt").read_text().split()
    assert sorted(path.stem for path in (tested / "labels").glob("*.png")) == sorted(names)
    for name in names:
        label = np.array(Image.open(tested / "labels" / f"{name}.png"))
        truth = np.array(Image.open(data_root / "SegmentationClass" / f"{name}.png"))
        assert label.shape == truth.shape
        assert label.max() < 7


@pytest.mark.slow
def test_show_dir_holds_painted_images(tested):
    names = [path.name for path in (tested / "pictures").glob("vis_data/vis_image/*.png")]
    assert len(names) == 4, names


@pytest.mark.slow
def test_the_config_in_the_work_dir_is_whole_and_names_the_stock_transforms(uninterrupted, tested):
    dumped = Config.fromfile(tested / "work" / uninterrupted.config.name)
    assert dumped.train_cfg.max_iters == 8
    assert dumped.train_dataloader.dataset.data_root == "/nowhere"
    for loader in (dumped.train_dataloader, dumped.test_dataloader):
        kinds = [step.type for step in loader.dataset.pipeline]
        assert kinds[:2] == ["LoadImageFromFile", "LoadAnnotations"]


@pytest.mark.slow
def test_an_image_that_can_not_be_read_is_named(uninterrupted, call, data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    for path in (tmp_path / "data" / "JPEGImages").glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    result = call(
        TOOLS / "test.py",
        uninterrupted.config,
        uninterrupted.work_dir / "iter_8.pth",
        "--work-dir",
        tmp_path / "work",
        "--cfg-options",
        f"test_dataloader.dataset.data_root={tmp_path / 'data'}",
    )
    assert result.returncode == 1
    assert f"error: {tmp_path}/data/JPEGImages/" in result.stderr
    assert "this image can't be read" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_two_processes_get_the_scores_of_one(uninterrupted, tested, call, tmp_path):
    kept = tmp_path / "work" / uninterrupted.config.name
    kept.parent.mkdir()
    kept.write_text("the config of a training")
    result = call(
        TOOLS / "dist_test.sh",
        uninterrupted.config,
        uninterrupted.work_dir / "iter_8.pth",
        2,
        "--work-dir",
        tmp_path / "work",
        PORT=free_port(),
    )
    assert result.returncode == 0, result.stderr
    for key in ("mIoU", "aAcc"):
        assert scalars(tmp_path / "work", key) == scalars(tested / "work", key)
    assert kept.read_text() == "the config of a training"


def test_a_checkpoint_that_does_not_exist_is_named(evaluate, write_config):
    with pytest.raises(CheckpointNotFoundError, match=r"nothing\.pth does not exist"):
        evaluate(write_config("no_checkpoint").config, "nothing.pth")


@pytest.mark.parametrize(
    ("lines", "arguments", "message"),
    [
        (["tta_model = None"], ["--tta"], "--tta needs tta_model"),
        (["tta_pipeline = [dict(type='TestTimeAug')]"], ["--tta"], "has TestTimeAug"),
        (
            ['test_evaluator = dict(type="mmseg.CityscapesMetric", output_dir="x")'],
            ["--out", "y"],
            "--out needs an IoUMetric",
        ),
        (["default_hooks = dict(visualization=None)"], ["--show-dir", "x"], "visualisation hook"),
    ],
)
def test_an_argument_that_the_config_can_not_serve_is_explained(
    evaluate, write_config, tmp_path, lines, arguments, message
):
    checkpoint = tmp_path / "any.pth"
    checkpoint.touch()
    run = write_config("unfit", *lines)
    with pytest.raises(ConfigError, match=message):
        evaluate(run.config, checkpoint, *arguments)


@pytest.mark.parametrize("tta", [[], ["--tta"]])
def test_a_checkpoint_of_another_network_stops_before_the_first_image(
    evaluate, write_config, tmp_path, tta
):
    checkpoint = tmp_path / "other.pth"
    weights = {"decode_head.conv_seg.weight": torch.zeros(5, 256, 1, 1)}
    torch.save({"meta": {}, "state_dict": weights}, checkpoint)
    run = write_config("other")
    with pytest.raises(CheckpointMismatchError, match=OTHER_NETWORK):
        evaluate(run.config, checkpoint, *tta)


def test_a_damaged_checkpoint_is_named(evaluate, write_config, tmp_path):
    checkpoint = tmp_path / "damaged.pth"
    torch.save({"meta": {}, "state_dict": {"a": torch.zeros(1000)}}, checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    with pytest.raises(CheckpointFormatError, match=r"damaged\.pth is no sound PyTorch file"):
        evaluate(write_config("damaged").config, checkpoint)
