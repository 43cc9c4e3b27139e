"""Every config builds, and says what its name says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.launch.checks.before_start import NOTES, PROBLEMS
from mmseg_deeplab_ext.launch.checks.dataset_files import problems_of_files

register_all_modules()
ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.py") if "_base_" not in p.parts)
NAMED = [p for p in CONFIGS if re.search(r"_b16-", p.name)]
NUM_CLASSES = dict(voc12=21, voc12aug=21, cityscapes=19, ade20k=150)
NETWORKS = {
    **{
        f"r{depth}beta": dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=depth)
        for depth in (18, 50, 101)
    },
    "mnv2": dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=1.0),
    "mnv3l": dict(type="mmseg_deeplab_ext.MobileNetV3", arch="large"),
    "mnv3s": dict(type="mmseg_deeplab_ext.MobileNetV3", arch="small"),
    "x65": dict(type="mmseg_deeplab_ext.Xception", depth=65),
    "x71dpc": dict(type="mmseg_deeplab_ext.Xception", depth=71),
    "mmsegmnv2": dict(type="mmseg_deeplab_ext.AtrousBackbone", network=dict(type="MobileNetV2")),
    "timmeffb0": dict(type="mmseg_deeplab_ext.AtrousBackbone", network="timm/tf_efficientnet_b0"),
}
DATASETS = dict(
    voc12="PascalVOCDataset",
    voc12aug="PascalVOCDataset",
    cityscapes="CityscapesDataset",
    ade20k="ADE20KDataset",
)


def load(path):
    return Config.fromfile(ROOT / "configs" / path)


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_a_config_does_what_its_name_says(path):
    head, network, stride, batch, thousands, dataset, crop = re.fullmatch(
        r"(deeplabv3|deeplabv3plus)_(\w+)-d(\d+)_b(\d+)-(\d+)k_(\w+)-(\d+)x\7", path.stem
    ).groups()
    cfg = load(path)
    iterations = int(thousands) * 1000
    for key, value in NETWORKS[network].items():
        assert cfg.model.backbone[key] == value
    assert bool(cfg.model.decode_head.get("c1_in_channels", 0)) == (head == "deeplabv3plus")
    assert cfg.model.backbone.output_stride == int(stride)
    assert cfg.global_batch_size == cfg.train_dataloader.batch_size == int(batch)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end - 1 == iterations
    assert cfg.crop_size == cfg.model.data_preprocessor.size == (int(crop), int(crop))
    assert cfg.model.decode_head.num_classes == NUM_CLASSES[dataset]
    assert cfg.dataset_type == DATASETS[dataset]
    trained_on = cfg.train_dataloader.dataset.get("datasets", [cfg.train_dataloader.dataset])
    assert len(trained_on) == (2 if dataset == "voc12aug" else 1)


def test_every_resnet_has_a_config_for_every_dataset():
    assert len([path for path in NAMED if "beta-" in path.name]) == 3 * len(NUM_CLASSES)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_model(path):
    model = load(path).model
    if "timm" in path.stem:
        pytest.skip("test_classifiers.py builds it, where timm is installed")
    with torch.device("meta"):
        network = MODELS.build(model)
    assert type(network.backbone).__module__.startswith("mmseg_deeplab_ext.")
    head = network.decode_head
    assert head.spec.num_classes == model.decode_head.num_classes
    if not model.decode_head.get("decoder_logits"):
        assert head.conv_seg.out_channels == model.decode_head.num_classes


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_nothing_in_a_config_needs_words_before_a_start(path):
    view = ConfigView.of(load(path))
    checks = {*PROBLEMS, *NOTES} - {problems_of_files}
    assert [line for check in checks for line in check(view)] == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_opens_with_the_command_that_runs_it(path):
    assert re.search(rf"^(python )?tools/\w+\.\w+ configs/\S*{path.name}", path.read_text(), re.M)


def test_the_short_name_is_the_official_voc_recipe():
    short = load("deeplabv3plus_r101beta_voc.py")
    long = load("deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12-513x513.py")
    assert short.to_dict() == long.to_dict()
    assert short.optim_wrapper.optimizer == dict(
        type="SGD", lr=0.007, momentum=0.9, weight_decay=1e-4
    )
    assert short.model.decode_head.dilations == (1, 6, 12, 18)
    assert short.model.backbone.multi_grid == (1, 2, 4)
    assert short.default_hooks.checkpoint.save_best == "mIoU"
    assert short.val_evaluator.type == "IoUMetric"


def test_the_learning_rate_is_tensorflows_poly_at_every_iteration():
    from mmengine.optim import PolyLR

    cfg = load("deeplabv3plus_r101beta_voc.py")
    arguments = dict(cfg.param_scheduler[0], type=None)
    del arguments["type"]
    base, steps = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_iters
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    scheduler = PolyLR(optimizer, **arguments)
    optimizer.step()
    for step in range(steps):
        # slim/train_utils: base * (1 - step / training_number_of_steps) ** 0.9
        expected = base * (1 - step / steps) ** 0.9
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6), step
        scheduler.step()


def test_voc_with_sbd_adds_the_sbd_list_to_vocs_own():
    cfg = load("deeplabv3plus/deeplabv3plus_r50beta-d16_b16-30k_voc12aug-513x513.py")
    lists = [
        (Path(d.ann_file).name, d.data_prefix.seg_map_path)
        for d in cfg.train_dataloader.dataset.datasets
    ]
    assert lists == [("train.txt", "SegmentationClass"), ("aug.txt", "SegmentationClassAug")]


def test_biases_train_at_twice_the_rate():
    from mmengine.optim import build_optim_wrapper

    cfg = load("deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py")
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    doubled = {id(p) for group in groups if group["lr"] == 2 * 0.007 for p in group["params"]}
    assert doubled == {id(model.decode_head.conv_seg.bias)}


@pytest.mark.parametrize(
    ("path", "weight_decay"),
    [
        ("deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py", 1e-4),
        ("deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py", 4e-5),
        ("deeplabv3plus_xception65_voc.py", 4e-5),
        ("zoo/mobilenetv3_large_cityscapes_trainfine.py", 4e-5),
        ("zoo/EdgeTPU-DeepLab-slim.py", 4e-5),
    ],
)
def test_weight_decay_spares_norms_biases_and_depthwise_kernels(path, weight_decay):
    from mmengine.optim import build_optim_wrapper

    cfg = load(path)
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0, weight_decay}
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    for name, parameter in model.named_parameters():
        dense_kernel = parameter.dim() == 4 and ".depthwise" not in name
        assert (id(parameter) in decayed) == dense_kernel, name


def test_the_output_stride_8_config_takes_weights_trained_at_16():
    trained = MODELS.build(load("deeplabv3plus_r101beta_voc.py").model)
    cfg = load("deeplabv3plus/deeplabv3plus_r101beta-d8_eval_voc12-513x513.py")
    evaluated = MODELS.build(cfg.model).eval()
    evaluated.load_state_dict(trained.state_dict(), strict=True)
    assert evaluated.backbone(torch.zeros(1, 3, 65, 65))[-1].shape[-2:] == (9, 9)
    dilations = [b.depthwise_conv.conv.dilation for b in evaluated.decode_head.aspp.branches[1:]]
    assert dilations == [(12, 12), (24, 24), (36, 36)]


def test_the_data_preprocessor_equals_tensorflows_normalisation_and_padding():
    cfg = load("deeplabv3plus_r101beta_voc.py")
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    bgr = torch.arange(256, dtype=torch.uint8).repeat(3, 2, 1)
    bgr[0] = 0
    from mmseg.structures import SegDataSample

    data = dict(inputs=[bgr], data_samples=[SegDataSample(metainfo=dict(img_shape=(2, 256)))])
    result = preprocessor(data, training=False)
    rgb = bgr.numpy()[::-1].astype(np.float32)
    expected = np.zeros((3, 513, 513), np.float32)  # 0 is the padding value 127.5
    expected[:, :2, :256] = rgb * np.float32(2 / 255) - np.float32(1)
    assert np.abs(result["inputs"][0].numpy() - expected).max() <= 1.2e-7
