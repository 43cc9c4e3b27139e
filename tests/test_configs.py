"""Every config builds, and says what its name says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

register_all_modules()
ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.py") if "_base_" not in p.parts)
NAMED = [p for p in CONFIGS if re.search(r"_b16-", p.name)]
NUM_CLASSES = dict(voc12=21, voc12aug=21, cityscapes=19, ade20k=150)


def load(path):
    return Config.fromfile(ROOT / "configs" / path)


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_a_config_does_what_its_name_says(path):
    depth, stride, batch, thousands, dataset, crop = re.fullmatch(
        r"deeplabv3plus_r(\d+)beta-d(\d+)_b(\d+)-(\d+)k_(\w+)-(\d+)x\6", path.stem
    ).groups()
    cfg = load(path)
    iterations = int(thousands) * 1000
    assert cfg.model.backbone.depth == int(depth)
    assert cfg.model.backbone.output_stride == int(stride)
    assert cfg.global_batch_size == cfg.train_dataloader.batch_size == int(batch)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == iterations
    assert cfg.crop_size == cfg.model.data_preprocessor.size == (int(crop), int(crop))
    assert cfg.model.decode_head.num_classes == NUM_CLASSES[dataset]
    assert dataset.replace("voc12aug", "voc12")[:3].upper() in str(cfg.val_dataloader).upper()


def test_every_network_dataset_combination_has_a_config():
    assert len(NAMED) == 3 * len(NUM_CLASSES)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_model(path):
    model = load(path).model
    network = MODELS.build(model)
    assert network.backbone.stem[0].conv.out_channels in (16, 64)
    assert network.decode_head.conv_seg.out_channels == model.decode_head.num_classes


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
    assert short.param_scheduler == [
        dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=30000, by_epoch=False)
    ]
    assert short.model.decode_head.dilations == (1, 6, 12, 18)
    assert short.model.backbone.multi_grid == (1, 2, 4)
    assert short.default_hooks.checkpoint.save_best == "mIoU"
    assert short.val_evaluator.type == "IoUMetric"


def test_weight_decay_spares_norms_biases_and_depthwise_kernels():
    from mmengine.optim import build_optim_wrapper

    cfg = load("deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py")
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    for name, parameter in model.named_parameters():
        dense_kernel = parameter.dim() == 4 and ".depthwise_conv." not in name
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
