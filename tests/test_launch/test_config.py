"""From a config file to what the Runner is built from."""

import argparse
import os
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch import runner
from mmseg_deeplab_ext.launch.arguments import add_cfg_options
from mmseg_deeplab_ext.launch.checks import before_start
from mmseg_deeplab_ext.launch.config import load_config
from mmseg_deeplab_ext.launch.runner import evaluation_runner, training_runner


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("train_cfg = dict(max_iters=10)\n")
    return path


@pytest.fixture
def checked(monkeypatch):
    """No Runner, just the config it would be built from; returns the models that were checked."""
    models = []
    problems = {lambda view: models.append(view.config.get("model")): ConfigError}
    monkeypatch.setattr(before_start, "PROBLEMS", problems)
    monkeypatch.setattr(runner, "check_runner", lambda runner, view, every_label: None)
    monkeypatch.setattr(
        runner,
        "build_runner",
        lambda cfg, changes, warnings, notes: SimpleNamespace(
            cfg=cfg, warnings=warnings, world_size=1, register_hook=lambda hook: None
        ),
    )
    return models


def test_the_work_dir_is_the_arguments_then_the_files_then_named_after_the_file(config_file):
    assert load_config(str(config_file)).work_dir == os.path.join("work_dirs", "mine")
    config_file.write_text("work_dir = 'here'\n")
    assert load_config(str(config_file)).work_dir == "here"
    assert load_config(str(config_file), work_dir="there").work_dir == "there"


def test_options_replace_what_the_file_says(config_file):
    cfg = load_config(str(config_file), options={"train_cfg.max_iters": 3, "load_from": "a.pth"})
    assert cfg.train_cfg.max_iters == 3
    assert cfg.load_from == "a.pth"


@pytest.mark.parametrize(
    ("value", "refused"), [("{}.pth", False), ("{'a':1}", True), ("[dict(a=1)]", True)]
)
def test_options_refuse_dictionaries_and_no_templates(value, refused):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser, example="a=1")
    if refused:
        with pytest.raises(SystemExit):
            parser.parse_args(["--cfg-options", f"key={value}"])
    else:
        assert parser.parse_args(["--cfg-options", f"key={value}"]).cfg_options == {"key": value}


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize(("in_file", "argument"), [(True, False), (False, True)])
def test_resume_works_from_the_file_as_well_as_from_the_command_line(tmp_path, in_file, argument):
    cfg = Config({"launcher": "none", "resume": in_file, "work_dir": str(tmp_path)})
    assert training_runner(cfg, resume=argument).cfg.resume is True


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.pth"
    path.touch()
    return str(path)


@pytest.mark.usefixtures("checked")
def test_an_evaluation_loads_the_checkpoint_and_resumes_nothing(checkpoint):
    cfg = evaluation_runner(Config({"resume": True}), checkpoint=checkpoint).cfg
    assert cfg.load_from == checkpoint
    assert cfg.resume is False


def test_tta_wraps_the_model_before_the_check(checkpoint, checked):
    leaf = {"type": "BaseSegDataset", "pipeline": []}
    cfg = Config(
        {
            "model": {"type": "EncoderDecoder"},
            "tta_model": {"type": "SegTTAModel"},
            "tta_pipeline": [{"type": "TestTimeAug"}],
            "test_dataloader": {"dataset": leaf},
        }
    )
    cfg = evaluation_runner(cfg, checkpoint=checkpoint, tta=True).cfg
    assert cfg.model.to_dict() == {"type": "SegTTAModel", "module": {"type": "EncoderDecoder"}}
    assert checked == [cfg.model]


MIXED = {
    "backbone": {"output_stride": 8},
    "decode_head": {"dilations": (1, 6, 12, 18)},
    "data_preprocessor": {"size": (96, 97), "test_cfg": {"size": (97, 100)}},
}


@pytest.mark.usefixtures("checked")
def test_what_is_odd_about_a_config_is_said_in_the_log(checkpoint, tmp_path):
    cfg = Config({"model": MIXED, "launcher": "none", "work_dir": str(tmp_path)})
    evaluation = evaluation_runner(cfg, checkpoint=checkpoint).warnings
    training = training_runner(cfg).warnings
    assert [note.split("=")[0].rpartition(".")[2] for note in evaluation] == ["dilations", "size"]
    assert len(training) == 3


@pytest.mark.parametrize("package", ["mmdet", "nopackage"])
def test_a_base_that_is_not_found_by_its_packages_name_is_explained(tmp_path, package):
    (tmp_path / "mine.py").write_text(f"_base_ = '{package}::a/b.py'\n")
    with pytest.raises(ConfigError, match=r"mine\.py can't be read: .*write the path of the file"):
        load_config(str(tmp_path / "mine.py"))


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("name", ["--work-dir", "--out", "--show-dir"])
def test_folders_that_can_not_be_made_stop_an_evaluation(checkpoint, tmp_path, name):
    (tmp_path / "file").touch()
    bad = str(tmp_path / "file" / "folder")
    cfg = Config({"test_evaluator": {"type": "mmseg.IoUMetric"}})
    if name == "--work-dir":
        cfg.work_dir = bad
    if name == "--show-dir":
        cfg.visualizer = {"save_dir": bad}
    with pytest.raises(ConfigError, match=rf"{name} {bad}: Not a directory"):
        evaluation_runner(cfg, checkpoint=checkpoint, out=bad if name == "--out" else None)


@pytest.mark.usefixtures("checked")
def test_a_work_dir_that_can_not_be_made_stops_a_training(tmp_path):
    (tmp_path / "file").touch()
    cfg = Config({"launcher": "none", "work_dir": str(tmp_path / "file" / "folder")})
    with pytest.raises(ConfigError, match="--work-dir"):
        training_runner(cfg)


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("as_list", [False, True])
def test_out_reaches_the_iou_metric_alone_or_among_others(checkpoint, tmp_path, as_list):
    out = str(tmp_path / "labels")
    metric = {"type": "mmseg.IoUMetric"}
    evaluator = [{"type": "DumpResults"}, metric] if as_list else metric
    cfg = evaluation_runner(
        Config({"test_evaluator": evaluator}), checkpoint=checkpoint, out=out
    ).cfg
    found = cfg.test_evaluator[1] if as_list else cfg.test_evaluator
    assert found.output_dir == out
    assert not as_list or "output_dir" not in cfg.test_evaluator[0]
