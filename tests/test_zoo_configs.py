"""configs/zoo: every segmentation model of the zoo, evaluated as Google published it.

docs/zoo.md, whose table benchmarks/zoo.py makes, says the same.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_deeplab_ext.checkpoints.zoo_table import ZOO
from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.config_file import network_config
from mmseg_deeplab_ext.launch.arguments import common_parser, parse
from mmseg_deeplab_ext.launch.checks.before_start import NOTES, PROBLEMS
from mmseg_deeplab_ext.launch.checks.dataset_files import problems_of_files
from mmseg_deeplab_ext.specs.deeplab_head import official_rates
from mmseg_deeplab_ext.specs.network import network_of_model
from tests.data.make_goldens import variables_digest
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST
from tests.support.tf_files import MNV2_ADE, MNV2_VOC, write_network
from tests.support.tool_modules import load_script, load_tool
from tests.support.zoo_entries import ENTRIES

register_all_modules()
REPO = Path(__file__).parents[1]
PAGE = (REPO / "docs" / "zoo.md").read_text(encoding="utf-8")
BENCHMARK = load_script("benchmarks/zoo.py")
EVALUATIONS = list(BENCHMARK.evaluations())
CONFIGS = sorted((REPO / "configs" / "zoo").glob("*.py"))
SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
# Of eval.py: --dataset, --eval_crop_size, --eval_scales (g3doc).
DATA = {
    "voc": ("PascalVOCDataset", (513, 513), SIX_SCALES),
    "dpc_cityscapes_trainval": (
        "CityscapesDataset",
        (1025, 2049),
        (0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
    ),
    "cityscapes": ("CityscapesDataset", (1025, 2049), (0.75, 1.0, 1.25)),
    "EdgeTPU": ("CityscapesDataset", (1025, 2049), (0.75, 1.0, 1.25)),
    "mobilenetv2_ade20k": ("BaseSegDataset", (257, 257), SIX_SCALES),
    "xception65_ade20k": ("BaseSegDataset", (513, 513), SIX_SCALES),
}


def by_name(table, name):
    """The first value whose key is in a checkpoint's name."""
    return next(value for key, value in table.items() if key in name)


def label(evaluation):
    return f"{evaluation.name}-{evaluation.output_stride}"


every_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
every_evaluation = pytest.mark.parametrize("evaluation", EVALUATIONS, ids=label)


def test_every_segmentation_model_of_the_zoo_has_a_config_of_its_name():
    published = {entry.name for entry in ZOO if entry.published}
    assert {path.stem for path in CONFIGS} == published


@every_config
def test_a_config_builds_the_network_of_its_checkpoint(path):
    cfg = Config.fromfile(path)
    assert cfg.load_from == f"tf-zoo://{path.stem}"
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    network = network_of_model(model)
    pairs = [(rule.tf_name, rule.shape) for rule in network.rules()]
    official = MANIFEST["variables"][ENTRIES[path.stem].inventory]
    assert variables_digest(pairs) == official["digest"]
    written = network_config(network)  # what tf2mmseg.py makes of the same checkpoint
    assert cfg.optim_wrapper == written.optim_wrapper
    for key in ("mean", "std", "bgr_to_rgb", "pad_val", "seg_pad_val"):
        assert cfg.model.data_preprocessor[key] == written.model.data_preprocessor[key]
    for loader in ("train_dataloader", "val_dataloader"):
        datasets = [config[loader].dataset for config in (cfg, written)]
        ours, theirs = (data.get("datasets", [data])[0] for data in datasets)
        assert ours.type == theirs.type
        for key in ("metainfo", "data_root", "reduce_zero_label", "img_suffix", "seg_map_suffix"):
            assert ours.get(key) == theirs.get(key)
    assert cfg.val_evaluator == written.val_evaluator
    assert cfg.model.decode_head.get("ignore_index") == written.model.decode_head.get(
        "ignore_index"
    )


@every_evaluation
def test_a_command_evaluates_as_it_was_published(evaluation):
    python, tool, *words = shlex.split(evaluation.command())
    assert (python, tool) == ("python", "tools/test.py")
    assert ("--tta" in words) == evaluation.multi_scale
    cfg = evaluation.config()
    model = cfg.model.module if evaluation.multi_scale else cfg.model
    kind, crop, scales = by_name(DATA, evaluation.name)
    if evaluation.multi_scale:
        assert cfg.model.type == "mmseg_deeplab_ext.DeepLabTTAModel"
        assert (tuple(cfg.model.scales), cfg.model.flip) == (scales, True)
    assert model.backbone.output_stride == evaluation.output_stride
    one, *rates = model.decode_head.get("dilations", (1,))  # a cell has none
    assert one == 1
    assert tuple(rates) == official_rates(evaluation.output_stride, len(rates))
    assert tuple(model.data_preprocessor.test_cfg["size"]) == crop
    assert cfg.test_dataloader.dataset.type == kind


@every_evaluation
def test_an_evaluation_needs_no_words(evaluation):
    view = ConfigView.of(evaluation.config(), splits=("test",))
    checks = {*PROBLEMS, *NOTES} - {problems_of_files}
    assert [line for check in checks for line in check(view)] == []


@every_evaluation
def test_val_is_scored_and_test_is_written_for_the_server(evaluation):
    dataset = evaluation.shipped.test_dataloader.dataset
    loads_labels = any(step.type == "LoadAnnotations" for step in dataset.pipeline)
    assert loads_labels == (evaluation.split == "val")
    assert evaluation.shipped.test_evaluator.get("format_only", False) != loads_labels
    read = f"{dataset.get('ann_file')} {dataset.data_prefix.img_path}"
    assert evaluation.split in re.findall("val|test", read)


@every_config
def test_a_config_opens_with_the_commands_of_its_evaluations(path):
    title, *paragraphs = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")
    shown = [" ".join(text.split()) for text in paragraphs if "tools/test.py" in text]
    named = [evaluation for evaluation in EVALUATIONS if evaluation.name == path.stem]
    assert sorted(shown) == sorted(evaluation.command() for evaluation in named)
    best = max(named, key=lambda evaluation: float(evaluation.miou))
    assert shown[0] == best.command()
    assert best.options() == {}
    assert re.findall("val|test", title) == [best.split]


@every_evaluation
def test_the_options_of_a_command_are_those_of_its_evaluation(evaluation):
    parser = common_parser("Evaluate")
    for name in ("checkpoint", "--out"):
        parser.add_argument(name)
    parser.add_argument("--tta", action="store_true")
    _, _, *words = shlex.split(evaluation.command())
    assert parse(parser, words).cfg_options == evaluation.options()


def test_ade20ks_smaller_images_train_and_evaluate_at_their_own_size():
    cfg = Config.fromfile(REPO / "configs/zoo/mobilenetv2_ade20k_train.py")
    sizes = {
        step.get("max_size", step.get("crop_size"))
        for loader in ("train_dataloader", "val_dataloader", "test_dataloader")
        for step in cfg[loader].dataset.pipeline
        if step.type.startswith("mmseg_deeplab_ext.R")
    }
    assert sizes == {257, (257, 257)}


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """Run the evaluation of a config, with a network's weights, on images in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    # The log shows the config; laying out the colours of 151 classes takes most of a test's time.
    monkeypatch.setattr(Config, "pretty_text", "")

    def run(name, network, *arguments):
        if not Path("model.ckpt.index").exists():
            write_network("model.ckpt", network)
        options = [
            f"test_dataloader.{key}" for key in ("num_workers=0", "persistent_workers=False")
        ]
        words = [REPO / f"configs/zoo/{name}.py", "tf://model.ckpt", *arguments]
        words += ["--cfg-options", "test_dataloader.dataset.data_root=.", *options]
        load_tool("test").main([str(word) for word in words])

    return run


def write_picture(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def test_a_model_for_the_test_server_writes_label_maps_of_images_without_labels(evaluate, tmp_path):
    image = make_image(40, 60, seed=0)
    write_picture(tmp_path / "JPEGImages" / "one.jpg", image)
    names = tmp_path / "ImageSets" / "Segmentation" / "test.txt"
    names.parent.mkdir(parents=True)
    names.write_text("one\n")
    evaluate("mobilenetv2_dm05_coco_voc_trainval", MNV2_VOC, "--out", "labels")
    assert np.asarray(Image.open("labels/one.png")).shape == (40, 60)


def test_ade20ks_151_labels_are_compared_as_they_are_and_label_0_is_ignored(evaluate, capfd):
    image, labels = Path("images/validation/one.jpg"), Path("annotations/validation/one.png")
    write_picture(image, make_image(97, 257, seed=0))
    write_picture(labels, np.arange(97 * 257).reshape(97, 257).astype(np.uint8) % 151)
    evaluate("mobilenetv2_ade20k_train", MNV2_ADE, "--out", "predicted")
    predicted = np.asarray(Image.open("predicted/one.png")).copy()
    predicted[::2] = 0
    write_picture(labels, predicted)
    capfd.readouterr()
    evaluate("mobilenetv2_ade20k_train", MNV2_ADE)
    assert "mIoU: 100.0" in "".join(capfd.readouterr())


@pytest.mark.parametrize("evaluation", [e for e in EVALUATIONS if not e.multi_scale], ids=label)
def test_the_pages_row_is_what_is_counted_here(evaluation):
    assert BENCHMARK.row(evaluation) in PAGE.splitlines()


def test_multiply_adds_are_googles():
    """All but MobileNetV3's, of which the page says more."""
    numbers = r"^\| `(.*)` \|.* OS(\d+).*\| ([\d.]+) \| ([\d.]+)(?: \(513x513: ([\d.]+)\))? \|$"
    rows = re.findall(numbers, PAGE, re.M)
    published = {(e.name, e.output_stride) for e in EVALUATIONS if e.googles_multiply_adds}
    assert {(name, int(stride)) for name, stride, *_ in rows} == published
    for name, stride, here, google, elsewhere in rows:
        if not name.startswith("mobilenetv3"):
            limit = 0.03 if elsewhere else 0.01  # EdgeTPU's have two digits only
            near = pytest.approx(float(google), rel=limit, abs=0.0101)
            assert float(elsewhere or here) == near, (name, stride)


def test_the_page_has_every_evaluation_and_its_command():
    rows = re.findall(r"^\| `(.*?)` \| ([\d.]+) (val|test) \| OS(\d+)(.*?) \|", PAGE, re.M)
    assert rows == [
        (e.name, e.miou, e.split, str(e.output_stride), ", scales and flips" * e.multi_scale)
        for e in EVALUATIONS
    ]
    assert [line for line in PAGE.splitlines() if line.startswith("python tools/test.py c")] == [
        e.command() for e in EVALUATIONS
    ]
