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
    "r101beta_cascade": dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=101, cascade=3),
    "mnv2": dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=1.0),
    "mnv3l": dict(type="mmseg_deeplab_ext.MobileNetV3", arch="large"),
    "mnv3s": dict(type="mmseg_deeplab_ext.MobileNetV3", arch="small"),
    "x65": dict(type="mmseg_deeplab_ext.Xception", depth=65),
    "x71dpc": dict(type="mmseg_deeplab_ext.Xception", depth=71),
    "mmsegmnv2": dict(type="mmseg_deeplab_ext.AtrousBackbone", network=dict(type="MobileNetV2")),
    "timmeffb0": dict(type="mmseg_deeplab_ext.AtrousBackbone", network="timm/tf_efficientnet_b0"),
}
# MMSegmentation's own ResNet is torchvision's; all other bare names would be a mistake.
MMSEG_BACKBONES = {
    f"{head}_r{depth}-d8_torchvision_voc" for head in ("fcn", "deeplabv3") for depth in (50, 101)
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
    named = [path for path in NAMED if re.match(r"deeplabv3plus_r\d+beta-", path.name)]
    assert len(named) == 3 * len(NUM_CLASSES)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_model(path):
    model = load(path).model
    if "timm" in path.stem:
        pytest.skip("test_classifiers.py builds it, where timm is installed")
    with torch.device("meta"):
        network = MODELS.build(model)
    package = "mmseg." if path.stem in MMSEG_BACKBONES else "mmseg_deeplab_ext."
    assert type(network.backbone).__module__.startswith(package)
    head = network.decode_head
    assert getattr(head, "spec", head).num_classes == model.decode_head.num_classes
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


def test_deeplabv3s_second_stage_doubles_the_rates_of_the_first_and_takes_its_weights():
    first, second = (
        load(f"deeplabv3/deeplabv3_r101beta-{name}-513x513.py")
        for name in ("d16_b16-30k_voc12aug", "d8_b16-30k_voc12")
    )
    assert second.load_from == f"work_dirs/{Path(first.filename).stem}/iter_30000.pth"
    rates = [cfg.model.decode_head.dilations[1:] for cfg in (first, second)]
    assert rates == [(6, 12, 18), (12, 24, 36)]
    with torch.device("meta"):
        networks = [MODELS.build(cfg.model) for cfg in (first, second)]
    networks[1].load_state_dict(networks[0].state_dict(), strict=True)
    for network in networks:
        assert all(branch.conv.groups == 1 for branch in network.decode_head.aspp.branches)
        assert not network.decode_head.decoder


def test_the_cascade_computes_its_logits_from_block_7_with_one_multi_grid_from_block_4_on():
    cfg = load("deeplabv3/deeplabv3_r101beta_cascade-d16_b16-30k_voc12aug-513x513.py")
    with torch.device("meta"):
        network = MODELS.build(cfg.model)
        features = network.backbone(torch.empty(1, 3, 65, 65))
        assert network.decode_head(features).shape == (1, 21, 5, 5)
    rates = [
        [unit.conv2.dilation[0] for unit in getattr(network.backbone, f"layer{number}")]
        for number in (4, 5, 6, 7)
    ]
    assert rates == [[2, 4, 2], [4, 8, 4], [8, 16, 8], [16, 32, 16]]
    parameters = sum(p.numel() for p in network.decode_head.parameters())
    assert parameters == 2048 * 21 + 21


def test_the_ten_times_recipe_trains_the_head_alone_faster_and_freezes_the_backbones_statistics():
    from mmengine.optim import build_optim_wrapper

    cfg = load("deeplabv3_r101beta_voc_10x.py")
    cfg.model.backbone.update(depth=18, multi_grid=(1, 2), init_cfg=None)
    cfg.model.decode_head.update(in_channels=512, channels=16)
    model = MODELS.build(cfg.model).train()
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        rate = 0.001 if name.startswith("backbone.") else 0.01
        if name == "decode_head.conv_seg.bias":
            rate *= 2
        assert rates[id(parameter)] == pytest.approx(rate), name
    trained = {
        name.partition(".")[0]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d) and module.training
    }
    assert trained == {"decode_head"}


@pytest.mark.parametrize("network", ["r101beta", "xception65"])
def test_the_three_stages_from_coco_start_each_from_the_one_before(network):
    names = [f"deeplabv3plus_{network}_coco_voc_stage{number}" for number in (1, 2, 3)]
    first, *later = stages = [load(f"{name}.py") for name in names]
    assert "imagenet" in first.model.backbone.init_cfg.checkpoint
    for name, before, cfg in zip(names, stages, later):
        assert cfg.load_from == f"work_dirs/{name}/iter_{before.train_cfg.max_iters}.pth"
        assert not cfg.model.backbone.get("init_cfg")
        assert cfg.model == dict(first.model, backbone=cfg.model.backbone)
    lists = [
        [d.ann_file for d in cfg.train_dataloader.dataset.get("datasets", [])]
        or [cfg.train_dataloader.dataset.ann_file]
        for cfg in stages
    ]
    voc = "ImageSets/Segmentation"
    assert lists == [
        ["voc_labels/train2017.txt"],
        [f"{voc}/train.txt", f"{voc}/aug.txt"],
        [f"{voc}/train.txt"],
    ]
    assert [cfg.val_dataloader.dataset.ann_file for cfg in stages] == [f"{voc}/val.txt"] * 3
    assert [cfg.optim_wrapper.optimizer.lr for cfg in stages] == [0.007, 1e-4, 1e-4]
    frozen = ["FreezeBatchNormHook" in str(cfg.custom_hooks) for cfg in stages]
    assert frozen == [False, False, True]


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


TORCHVISION = [p for p in CONFIGS if "_torchvision_" in p.name]


@pytest.mark.parametrize("path", TORCHVISION, ids=lambda path: path.stem)
def test_torchvisions_recipe_is_its_references(path):
    """references/segmentation/train.py, presets.py and README.md in github.com/pytorch/vision."""
    cfg = load(path)
    mobile = "mnv3l" in path.stem
    rate = 0.01 if mobile else 0.02
    assert cfg.optim_wrapper.optimizer == dict(
        type="SGD", lr=rate, momentum=0.9, weight_decay=1e-6 if mobile else 1e-4
    )
    assert cfg.global_batch_size == cfg.train_dataloader.batch_size == 8 * 4
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end - 1 == 30 * (1464 // 32)
    assert cfg.param_scheduler[0].power == 0.9
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    sides = [int(520 * ratio) for ratio in steps["RandomResize"].ratio_range]
    assert sides == [260, 1040]
    assert steps["RandomCrop"].crop_size == cfg.model.data_preprocessor.size == (480, 480)
    assert cfg.model.data_preprocessor.mean == [round(255 * m, 3) for m in (0.485, 0.456, 0.406)]
    assert cfg.model.data_preprocessor.std == [round(255 * s, 3) for s in (0.229, 0.224, 0.225)]


@pytest.mark.parametrize("path", TORCHVISION, ids=lambda path: path.stem)
def test_torchvisions_auxiliary_head_counts_half_and_trains_at_ten_times_the_rate(path):
    from mmengine.optim import build_optim_wrapper

    cfg = load(path)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert model.decode_head.loss_decode.loss_weight == 1
    optimizer = cfg.optim_wrapper.optimizer
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert {group["weight_decay"] for group in groups} == {optimizer.weight_decay}
    faster = {id(p) for group in groups if group["lr"] > optimizer.lr for p in group["params"]}
    if "lraspp" in path.stem:
        assert not model.with_auxiliary_head
        assert not faster
    else:
        assert model.auxiliary_head.loss_decode.loss_weight == 0.5
        assert {group["lr"] / optimizer.lr for group in groups} == {1, 10}
        assert faster == {id(parameter) for parameter in model.auxiliary_head.parameters()}


def test_torchvisions_loss_is_averaged_over_the_pixels_that_are_not_ignored():
    head = MODELS.build(load("lraspp/lraspp_mnv3l-d16_torchvision_voc.py").model).decode_head
    logits = torch.randn(1, 21, 8, 8, generator=torch.manual_seed(0))
    labels = torch.arange(64).reshape(1, 8, 8) % 21
    labels[:, :5] = 255
    loss = head.loss_decode(logits, labels, ignore_index=255)
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    assert torch.allclose(loss, expected)


def steps_of(pipeline, names):
    """Run the named steps of a pipeline on a white image of 300 x 500 pixels, all labelled 1."""
    from mmseg.registry import TRANSFORMS

    white = np.full((300, 500, 3), 255, np.uint8)
    labels = np.ones((300, 500), np.uint8)
    results = dict(img=white, gt_seg_map=labels, seg_fields=["gt_seg_map"], img_shape=(300, 500))
    for step in pipeline:
        if step.type in names:
            results = TRANSFORMS.build(step)(results)
    return results["img"], results["gt_seg_map"]


def test_torchvisions_evaluation_resizes_the_shorter_side_to_520():
    cfg = load("fcn/fcn_r50-d8_torchvision_voc.py")
    image, _ = steps_of(cfg.test_dataloader.dataset.pipeline, {"Resize"})
    assert image.shape == (520, 867, 3)


def test_torchvisions_crops_of_small_images_are_padded_with_black_and_ignored_labels():
    cfg = load("fcn/fcn_r50-d8_torchvision_voc.py")
    image, labels = steps_of(cfg.train_dataloader.dataset.pipeline, {"Pad", "RandomCrop"})
    assert image.shape == (480, 480, 3)
    assert (image[300:] == 0).all()
    assert (image[:300] == 255).all()
    assert (labels[300:] == 255).all()
    assert (labels[:300] == 1).all()
