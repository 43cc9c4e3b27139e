"""The recipes of docs/recipes.md run, from the first line to the last, on tiny data.

Every config is the shipped one, or the page's, on a smaller network, on images of 65 pixels, with a
few forward passes; all else in it stays. The model zoo is a server on loopback.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_deeplab_ext.checkpoints.zoo_table import ZOO, find_entry
from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.launch.arguments import common_parser, parse
from mmseg_deeplab_ext.launch.checks.recipe import config_notes
from mmseg_deeplab_ext.launch.config import load_config
from mmseg_deeplab_ext.specs import MobileNetV2Spec
from mmseg_deeplab_ext.specs.network import network_of_model
from tests.support.coco_layout import square, write_coco_folder
from tests.support.file_server import serve
from tests.support.small_configs import shrunk
from tests.support.tf_files import (
    MNV2_VOC,
    R18_BETA_IMAGENET,
    cached_value,
    packed,
    write_network,
)
from tests.support.tool_modules import load_tool
from tests.support.voc_layout import write_voc_folder
from tests.test_tools.conftest import REPO

register_all_modules()
TEXT = (REPO / "docs" / "recipes.md").read_text()
IMAGENET = "tf-zoo://resnet_v1_101_beta_imagenet"
SEGMENTATION = "tf-zoo://mobilenetv2_coco_voc_trainaug"
XCEPTION = ("tf-zoo://xception65_coco_voc_trainaug", "tf-zoo://xception_65_imagenet")
STAGE1 = "configs/deeplabv3plus_r101beta_voc_stage1.py"
STAGE2 = "configs/deeplabv3plus_r101beta_voc_stage2.py"
FROM_COCO = [f"configs/deeplabv3plus_r101beta_coco_voc_stage{number}.py" for number in (1, 2, 3)]
WORK_DIR_OF_STAGE1 = Path("work_dirs/deeplabv3plus_r101beta_voc_stage1")
SMALL_GPU = "configs/deeplabv3plus_r101beta_voc_12gb.py"
MY_DATA = "pipeline=_base_.train_pipeline"  # only that piece of Python has it, as the next ones
SMALL_DATA = 'train_dataloader["batch_size"]'
FINE_TUNING = "FreezeBatchNormHook"
OPTIONS = "top_k_percent_pixels"
FINE_TUNED = "configs/my_finetuning.py"


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    return [line for block in blocks for line in block.splitlines() if line]


def snippet(word):
    """The one piece of Python that contains a word."""
    (text,) = (t for t in re.findall(r"```python\n(.*?)```", TEXT, re.S) if word in t)
    return text


def starts():
    """``_base_`` and ``load_from`` of every row in the table of checkpoints to fine-tune."""
    rows = re.findall(r'^\| .* \| `("\./deeplab\.py")`.* \| `(".*")` \|$', TEXT, re.M)
    assert len(rows) == 2
    return rows


def based_on(text, folder, **lines):
    """A piece of Python as a config that stands elsewhere than its base, with lines replaced."""
    for name, value in lines.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.M)
        assert count == 1, name
    assert text.count('_base_ = "./') == 1
    return text.replace('_base_ = "./', f'_base_ = "{folder}/')


def write_pair(root, image, label, values):
    """Write an image of 40 x 30 pixels and its label image."""
    for path in (image, label):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(image))
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(root / image)
    Image.fromarray(rng.integers(0, values, (30, 40), dtype=np.uint8)).save(root / label)


def write_data(root):
    """Every data set that the page names, with two images for each split."""
    write_voc_folder(root / "VOCdevkit" / "VOC2012")
    squares = [square("dog", 0, 0, side=60), square("person", 50, 20, side=40)]
    write_coco_folder(root / "coco", dict.fromkeys(["a", "b"], squares))
    for split, ade in (("train", "training"), ("val", "validation")):
        for number in (1, 2):
            city = f"{split}/town/town_{number}"
            write_pair(
                root / "cityscapes",
                f"leftImg8bit/{city}_leftImg8bit.png",
                f"gtFine/{city}_gtFine_labelTrainIds.png",
                values=19,
            )
            write_pair(
                root / "ade" / "ADEChallengeData2016",
                f"images/{ade}/ADE_{number}.jpg",
                f"annotations/{ade}/ADE_{number}.png",
                values=151,
            )
            name = f"{split}_{number}"
            write_pair(root / "my_data", f"images/{name}.jpg", f"labels/{name}.png", values=3)
        names = f"{split}_1\n{split}_2\n"
        (root / "my_data" / f"{split}.txt").write_text(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like the checkout, with small configs and data."""
    folder = tmp_path_factory.mktemp("recipes")
    write_data(folder / "data")
    for name in {word for line in commands() for word in line.split() if "configs/" in word}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (REPO / name).exists():
            shrunk(REPO / name).dump(folder / name)
    (folder / "configs/my_data.py").write_text(snippet(MY_DATA))
    (folder / "configs/options.py").write_text(snippet(OPTIONS))
    (folder / FINE_TUNED).write_text(based_on(snippet(FINE_TUNING), REPO / "configs"))
    shrunk(folder / FINE_TUNED).dump(folder / FINE_TUNED)
    write_network(folder / "data" / "model.ckpt-30000", MNV2_VOC)
    (folder / "photos").symlink_to(folder / "data" / "my_data" / "images")
    return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The address of a model zoo with networks smaller than those of its names."""
    with serve() as server:
        names = {IMAGENET: R18_BETA_IMAGENET, **dict.fromkeys([SEGMENTATION, *XCEPTION], MNV2_VOC)}
        for name, network in names.items():
            folder = tmp_path_factory.mktemp("zoo")
            write_network(folder / "model.ckpt", network)
            server.files[find_entry(name).archive] = packed(folder)
        yield server.url("")


@pytest.fixture(scope="module")
def finished():
    """The commands that have run."""
    return set()


@pytest.fixture
def run(folder, zoo, finished, monkeypatch):
    """Run a command as in the page, in this process; what comes before it there has run, too."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEEPLAB_ZOO_URL", zoo)
    monkeypatch.setenv("TORCH_HOME", str(folder / "cache"))

    def start(command):
        python, tool, *arguments = shlex.split(command)
        assert python == "python"
        for position, word in enumerate(arguments):
            if re.match(r"work_dirs/.*\.pth$", word):
                arguments[position] = newest(Path(word).parent)
        before = Config.fromfile(arguments[0]).get("load_from") if tool == "tools/train.py" else ""
        if f"{before}".startswith("work_dirs/"):  # that stage ended at iteration 1
            shutil.copy(newest(Path(before).parent), before)
        load_tool(re.fullmatch(r"tools/(.*)\.py", tool).group(1)).main(arguments)

    def run(command):
        before = commands()[: commands().index(command)] if command in commands() else []
        for line in [*before, command]:
            if line not in finished:
                start(line)
                finished.add(line)

    return run


def newest(work_dir):
    """The last checkpoint of a training."""
    return (work_dir / "last_checkpoint").read_text()


def weights_after(run, config):
    """Weights at the end of the training with a config, by name."""
    run(f"python tools/train.py {config}")
    checkpoint = newest(Path("work_dirs") / Path(config).stem)
    return torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]


def demand_start(after, network):
    """Demand that a training of few steps with frozen statistics began at a network's weights."""
    for rule in network.rules():
        start = rule.to_torch(cached_value(rule.tf_name, rule.shape))
        moved = after[rule.torch_name].numpy()
        if "conv_seg" in rule.torch_name:
            assert moved.shape == (3, *start.shape[1:]), "the last layer is that of the data set"
        elif is_statistic(rule.torch_name):
            assert np.array_equal(moved, start), rule.torch_name
        elif rule.layout == "conv":  # random weights would be further away than their own size
            distance = np.linalg.norm(moved - start)
            assert 0 < distance < 0.5 * np.linalg.norm(start), rule.torch_name


def is_statistic(name):
    return "running_" in name


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(), ids=lambda command: command[:100])
def test_the_command_runs(command, run, capsys):
    run(command)
    if "prepare_voc" in command:
        assert "the VOCaug training set: 3" in capsys.readouterr().out
    if "coco_as_voc" in command:
        assert "the label maps of its 2 images were made" in capsys.readouterr().out


@pytest.mark.slow
def test_the_first_stage_starts_from_the_imagenet_weights_and_trains_batch_norm(run):
    after = weights_after(run, STAGE1)
    for rule in R18_BETA_IMAGENET.backbone.rules():
        start = rule.to_torch(cached_value(rule.tf_name, rule.shape))
        moved = after[rule.torch_name].numpy() - start
        assert np.abs(moved).max() > 0, rule.torch_name
        if rule.layout == "conv":  # random weights would be further away than their own size
            assert np.linalg.norm(moved) < 0.5 * np.linalg.norm(start), rule.torch_name
    statistics = [v for n, v in after.items() if n.startswith("decode_head.") and "mean" in n]
    assert all(value.abs().max() > 0 for value in statistics)


@pytest.mark.slow
def test_the_second_stage_keeps_the_firsts_statistics_and_trains_all_the_rest(run):
    before, after = (weights_after(run, config) for config in (STAGE1, STAGE2))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    kept = {name for name in before if is_statistic(name) or "num_batches" in name}
    assert changed == set(before) - kept
    assert {name.partition(".")[0] for name in kept} == {"backbone", "decode_head"}


@pytest.mark.slow
def test_the_stages_after_coco_start_from_the_weights_before_them(run):
    first, second, third = (weights_after(run, config) for config in FROM_COCO)
    name = "backbone.layer4.1.conv2.weight"
    assert 0 < (second[name] - first[name]).norm() < 0.5 * first[name].norm()
    statistics = {name for name in second if is_statistic(name)}
    assert all(torch.equal(third[name], second[name]) for name in statistics)
    assert not any(torch.equal(second[name], first[name]) for name in statistics)


@pytest.mark.slow
def test_the_small_gpu_recipe_makes_one_step_of_four_passes_with_all_statistics_frozen(run):
    after = weights_after(run, SMALL_GPU)
    start = {
        rule.torch_name: rule.to_torch(cached_value(rule.tf_name, rule.shape))
        for rule in R18_BETA_IMAGENET.backbone.rules()
    }
    for name, value in after.items():
        if is_statistic(name):
            assert np.array_equal(value, start.get(name, np.full(value.shape, "var" in name))), name
    gamma = "backbone.layer1.0.bn1.weight"
    assert not np.array_equal(after[gamma], start[gamma])
    cfg = Config.fromfile(f"work_dirs/{Path(SMALL_GPU).stem}/{Path(SMALL_GPU).name}")
    assert cfg.train_dataloader.batch_size * cfg.optim_wrapper.accumulative_counts == 4
    assert cfg.train_cfg.max_iters == 4
    assert cfg.model.backbone.with_cp
    assert "Amp" in cfg.optim_wrapper.type


@pytest.mark.slow
def test_fine_tuning_starts_from_the_zoos_weights_and_keeps_their_statistics(run):
    demand_start(weights_after(run, FINE_TUNED), MNV2_VOC)


@pytest.mark.slow
@pytest.mark.parametrize(("base", "start"), starts(), ids=lambda cell: cell.strip('"'))
def test_fine_tuning_starts_from_a_checkpoint_of_ones_own(run, folder, base, start):
    run(next(line for line in commands() if "tf2mmseg" in line))
    name = f"configs/from_{re.sub('[^a-z]', '', start)}.py"
    text = based_on(snippet(FINE_TUNING), folder / "configs", _base_=base, load_from=start)
    (folder / name).write_text(text)
    shrunk(folder / name).dump(folder / name)
    demand_start(weights_after(run, name), MNV2_VOC)


@pytest.mark.slow
def test_the_options_of_tensorflow_train_as_a_config(run):
    run("python tools/train.py configs/options.py")
    cfg = Config.fromfile("work_dirs/options/options.py")
    assert cfg.model.decode_head.loss_decode.hard_example_mining_step == 10000


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (
            STAGE2,
            'model.backbone.output_stride=8 "model.decode_head.dilations=[1,12,24,36]" '
            "optim_wrapper.optimizer.lr=0.001",
        ),
        (STAGE1, "model.backbone.init_cfg=None"),
        (
            SMALL_GPU,
            "train_dataloader.batch_size=8 optim_wrapper.accumulative_counts=2 "
            "train_cfg.max_iters=60000 param_scheduler.0.end=60001",
        ),
        (
            SMALL_GPU,
            "load_from=FILE.pth model.backbone.init_cfg=None optim_wrapper.optimizer.lr=0.0001",
        ),
    ],
)
def test_the_options_in_the_text_fit_their_configs(config, options):
    assert options in " ".join(TEXT.split())
    parser = common_parser("Train")
    arguments = [str(REPO / config), "--cfg-options", *shlex.split(options)]
    given = parse(parser, arguments).cfg_options
    cfg = load_config(str(REPO / config), options=given)
    share_global_batch(cfg, 1, options=given)
    assert cfg.global_batch_size == 16
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end - 1
    MODELS.build(cfg.model)


@pytest.fixture
def load(tmp_path):
    """Read a piece of Python of the page as a config beside the shipped ones."""

    def load(text, **lines):
        (tmp_path / "mine.py").write_text(based_on(text, REPO / "configs", **lines))
        return load_config(str(tmp_path / "mine.py"))

    return load


@pytest.mark.parametrize("text", [snippet(MY_DATA) + snippet(SMALL_DATA), snippet(FINE_TUNING)])
def test_the_pages_configs_set_crop_batch_and_length_wherever_they_are(load, text):
    cfg = load(text)
    crops = {
        tuple(step["crop_size"])
        for step in cfg.train_dataloader.dataset.pipeline
        if "crop_size" in step
    }
    assert crops == {cfg.model.data_preprocessor.size} == {(321, 321)}
    assert cfg.model.data_preprocessor.test_cfg["size"] == (513, 513)
    assert cfg.train_dataloader.batch_size == cfg.global_batch_size == 8
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end - 1 == 5000
    assert cfg.model.decode_head.num_classes == len(cfg.train_dataloader.dataset.metainfo.classes)
    assert config_notes(cfg, training=True) == []
    assert share_global_batch(cfg, 1, options={}) == []


def test_the_base_to_try_data_out_with_takes_the_same_lines(load):
    (base,) = re.findall(r'try your data out.*?`_base_ =\s("\./[^"]*")`', TEXT, re.S)
    cfg = load(snippet(MY_DATA) + snippet(SMALL_DATA), _base_=base)
    assert cfg.load_from is None
    assert "init_cfg" not in cfg.model.backbone
    assert MODELS.build(cfg.model).decode_head.num_classes == 3


def test_the_fine_tuned_network_is_that_of_the_zoos_checkpoint(load):
    cfg = load(snippet(FINE_TUNING))
    address, _, option = cfg.load_from.partition("?")
    assert (address, option) == (SEGMENTATION, "drop_logits=true")
    assert find_entry(address) in ZOO
    backbone = network_of_model(MODELS.build(cfg.model)).backbone
    assert backbone == MobileNetV2Spec(1.0)


def test_the_second_stage_and_the_small_gpu_keep_the_batch_and_the_crop_of_the_first():
    first, second, small = (Config.fromfile(REPO / name) for name in (STAGE1, STAGE2, SMALL_GPU))
    assert second.load_from.startswith(f"{WORK_DIR_OF_STAGE1}/iter_{first.train_cfg.max_iters}.")
    for cfg in (first, second, small):
        passes = cfg.optim_wrapper.get("accumulative_counts", 1)
        assert cfg.global_batch_size == cfg.train_dataloader.batch_size * passes == 16
        assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end - 1 == 30000 * passes
        assert cfg.model.data_preprocessor.size == (513, 513)


@pytest.mark.parametrize(
    "row", re.findall(r"^\| `(configs/\S*)` \| (\d+) \| (\d+) \| (\S+) \| (.*) \|$", TEXT, re.M)
)
def test_the_table_of_other_networks_says_what_their_configs_do(row):
    path, crop, stride, iterations, start = row
    cfg = Config.fromfile(REPO / path)
    assert cfg.model.data_preprocessor.size == (int(crop), int(crop))
    assert cfg.model.backbone.output_stride == int(stride)
    assert cfg.train_cfg.max_iters == int(iterations.replace(",", ""))
    assert cfg.load_from is None
    init_cfg = cfg.model.backbone.get("init_cfg")
    assert start == (f"`{init_cfg.checkpoint}`" if init_cfg else "random weights")
    assert cfg.optim_wrapper.optimizer.lr == 0.007
    with torch.device("meta"):
        weight_decay = network_of_model(MODELS.build(cfg.model)).backbone.weight_decay
    assert cfg.optim_wrapper.optimizer.weight_decay == weight_decay
    assert "FreezeBatchNormHook" not in str(cfg.custom_hooks)


def test_every_file_that_the_page_names_exists():
    named = set(re.findall(r"(?:configs|tests|tools)/[\w./-]+\.\w+", TEXT))
    assert {name for name in named if not (REPO / name).exists()} == {
        "configs/deeplab.py",  # tf2mmseg.py writes it
        "configs/my_data.py",
        FINE_TUNED,
    }
