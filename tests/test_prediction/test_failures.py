"""What fails on one image costs that image only, and a run that ends early can be continued."""

import errno
import os
from pathlib import Path

import pytest
import torch

from mmseg_deeplab_ext.errors import PredictionError
from mmseg_deeplab_ext.prediction import predict as predict_module
from mmseg_deeplab_ext.prediction.outputs import Outputs

NAMES = [f"{number:02}" for number in range(12)]


@pytest.fixture
def predict(main, net, tmp_path):
    """Predict the folder ``in`` into ``out``; returns the exit status."""

    def run(*options):
        folders = [str(tmp_path / "in"), "--out", str(tmp_path / "out")]
        return main([str(net.config), str(net.pth), *folders, "--device", "cpu", *options])

    return run


@pytest.fixture
def images(save_image, tmp_path):
    return [save_image(tmp_path / "in" / f"{name}.png") for name in NAMES]


@pytest.fixture
def labels(tmp_path):
    """The names of the label maps that are there."""
    return lambda: sorted(path.stem for path in (tmp_path / "out/labels").glob("*.png"))


@pytest.fixture
def full_disk(monkeypatch):
    """Let writing fail half-way for files whose path meets a condition."""

    def set_condition(condition):
        def write_bytes(path, content):
            part = content[: len(content) // 2] if condition(path.as_posix()) else content
            with path.open("wb") as file:
                file.write(part)
            if part is not content:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr(Path, "write_bytes", write_bytes)

    return set_condition


@pytest.fixture
def forward(monkeypatch):
    """Let something happen before each forward pass: a function of the run and the batch."""
    original = predict_module._Run._forward

    def set_first(first):
        def wrapped(run, batch):
            first(run, [picture.path.stem for picture, _ in batch])
            return original(run, batch)

        monkeypatch.setattr(predict_module._Run, "_forward", wrapped)

    return set_first


def test_a_file_that_cannot_be_written_costs_its_image_only_and_leaves_nothing_behind(
    predict, images, labels, full_disk, tmp_path, capsys
):
    full_disk(lambda path: "labels/.05.png" in path)
    (tmp_path / "in/empty.jpg").touch()
    assert predict() == 1
    assert labels() == [name for name in NAMES if name != "05"]
    printed = capsys.readouterr()
    assert "predicted: 11 of 13 images" in printed.out
    reports = printed.err.splitlines()
    assert "not predicted: 2 of 13 images" in reports
    reason = f"{tmp_path / 'out/labels/05.png'} can't be written: No space left on device"
    assert f"  {tmp_path / 'in/05.png'}: {reason}" in reports
    assert f"  {tmp_path / 'in/empty.jpg'}: the file is empty" in reports
    assert not list(tmp_path.rglob("*.partial"))


def test_a_full_disk_ends_the_run_with_the_report_and_the_way_to_go_on(
    predict, images, labels, full_disk, monkeypatch, capsys
):
    monkeypatch.setattr(predict_module, "_THREADS", 1)  # few images are on their way at a time
    full_disk(lambda path: not path.rpartition("/")[2].startswith((".00", ".01")))
    with pytest.raises(PredictionError) as caught:
        predict()
    assert str(caught.value).startswith("The files of 3 images in a row can't be written: ")
    assert "No space left on device. Make room" in str(caught.value)
    assert labels() == NAMES[:2]
    printed = capsys.readouterr()
    assert "predicted: 2 of 12 images" in printed.out
    failed = printed.err.count("can't be written")
    assert 3 <= failed <= 6
    assert f"not reached: {10 - failed} of 12 images; --skip-existing" in printed.err


def test_a_run_that_replaces_files_is_not_to_be_continued_by_skipping_them(
    predict, images, forward, capsys
):
    def interrupt(run, names):
        raise KeyboardInterrupt

    forward(interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict("--force")
    assert capsys.readouterr().err.splitlines()[-1] == "not reached: 12 of 12 images"


def test_write_errors_with_successes_between_them_do_not_end_the_run(
    predict, images, labels, full_disk, monkeypatch
):
    monkeypatch.setattr(predict_module, "_THREADS", 1)  # written in order
    full_disk(lambda path: "labels/" in path and int(Path(path).name[1:3]) % 3)
    assert predict() == 1
    assert labels() == NAMES[::3]


def test_a_run_that_ended_early_is_continued_with_what_is_missing(
    predict, images, labels, forward, tmp_path, capsys
):
    predict()
    (tmp_path / "out/labels/03.png").unlink()
    (tmp_path / "out/overlays/07.png").unlink()
    with pytest.raises(PredictionError, match="22 of 24 files to write exist already: .*--skip"):
        predict()
    capsys.readouterr()
    seen = []
    forward(lambda run, names: seen.extend(names))
    assert predict("--skip-existing") == 0
    assert seen == ["03", "07"]
    assert labels() == NAMES
    assert (tmp_path / "out/overlays/07.png").exists()
    printed = capsys.readouterr()
    assert "predicted: 2 of 12 images" in printed.out
    assert "passed over, their files are there: 10 of 12 images" in printed.out
    assert "not " not in printed.err


def test_without_overlays_a_label_suffices_to_be_passed_over(predict, images, tmp_path, capsys):
    predict("--no-overlay")
    assert predict("--no-overlay", "--skip-existing") == 0
    assert "predicted: 0 of 12 images" in capsys.readouterr().out
    assert not (tmp_path / "out/overlays").exists()


def test_files_are_either_skipped_or_overwritten(predict, images, tmp_path, capsys):
    with pytest.raises(SystemExit):
        predict("--force", "--skip-existing")
    assert "not allowed with argument --force" in capsys.readouterr().err
    with pytest.raises(PredictionError, match="existing is 'ask'; allowed are refuse, replace"):
        Outputs(tmp_path, existing="ask")


@pytest.mark.parametrize("batch_size", ["1", "4"])
def test_an_image_too_small_for_the_network_costs_itself_only(
    predict, images, labels, save_image, tmp_path, capsys, batch_size
):
    small = save_image(tmp_path / "in/05.png", 9)
    assert predict("--batch-size", batch_size) == 1
    assert labels() == [name for name in NAMES if name != "05"]
    assert f"  {small}: the network fails on it: image_pooling asks" in capsys.readouterr().err


def test_an_image_too_large_for_the_cpus_memory_costs_itself_only(
    predict, images, labels, forward, capsys
):
    def short_of_memory(run, names):
        if "05" in names:
            torch.empty(1 << 50)

    forward(short_of_memory)
    assert predict("--batch-size", "4") == 1
    assert labels() == [name for name in NAMES if name != "05"]
    assert "05.png: too large for the memory of cpu: " in capsys.readouterr().err


def test_an_image_that_cannot_be_normalised_costs_itself_only(
    predict, images, labels, monkeypatch, capsys
):
    normalise = predict_module.Preparation.__call__

    def with_transparency(preparation, path):
        prepared = normalise(preparation, path)
        inputs = torch.zeros(4, 20, 20) if path.stem == "05" else prepared.inputs
        return predict_module.Prepared(inputs, prepared.sample, prepared.image)

    monkeypatch.setattr(predict_module.Preparation, "__call__", with_transparency)
    assert predict() == 1
    assert labels() == [name for name in NAMES if name != "05"]
    assert "05.png: the network fails on it: " in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, TypeError])
def test_a_run_that_is_interrupted_reports_every_file_written(
    predict, images, labels, forward, capsys, error
):
    def interrupt(run, names):
        if "08" in names:
            raise error

    forward(interrupt)
    with pytest.raises(error):
        predict()
    assert labels() == NAMES[:8]
    printed = capsys.readouterr()
    assert "predicted: 8 of 12 images" in printed.out
    assert "not reached: 4 of 12 images" in printed.err


def test_an_error_that_breaks_the_gpu_is_not_taken_for_the_images(
    predict, images, forward, monkeypatch, capsys
):
    def broken(*args):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def fail(run, names):
        run.device = torch.device("cuda")
        broken()

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    forward(fail)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        predict()
    assert "not reached: 12 of 12 images" in capsys.readouterr().err


def test_arguments_that_are_wrong_give_no_report(predict, images, capsys):
    with pytest.raises(PredictionError, match="opacity"):
        predict("--opacity", "2")
    assert capsys.readouterr().out == ""
