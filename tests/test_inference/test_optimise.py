"""An optimised network computes the same, whatever network it is."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_deeplab_ext.inference import optimise as optimise_module
from mmseg_deeplab_ext.inference.depthwise import (
    QuickDepthwiseConv2d,
    has_forms,
    padded,
    plain,
    quickest_form,
    shifted,
)
from mmseg_deeplab_ext.inference.logits import configured_logits
from mmseg_deeplab_ext.inference.optimise import optimise, optimised
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST, full, reduced, relative_error
from tests.support.golden_networks import GoldenNetwork, normalised
from tests.test_networks.test_real_weights import REAL, WEIGHTS, convert, load_network

register_all_modules()

# Every family; rates below and above 12, above the size of the map; bounded and gated parts.
GOLDENS = [
    "r18_v3plus_os8_64x96",
    "r18b_v3plus_os16_65x97",
    "mnv2_v3plus_os16_65x97",
    "mnv3_large_v3plus_os8_64x96",
    "mnv3_small_zoo_padded_img49x70_crop65x97",
    "edgetpu_os8_65x97",
    "x41_v3plus_os16_65x97",
]


def clear(logits):
    """Where the two largest logits differ by more than rounding."""
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1] > 1e-5 * logits.abs().max()


class _Network(nn.Module):
    def __init__(self, options):
        super().__init__()
        network = GoldenNetwork(options)
        self.backbone, self.decode_head = network.backbone, network.decode_head

    def forward(self, x):
        return self.decode_head(self.backbone(x))


@torch.no_grad()
@pytest.mark.parametrize("name", GOLDENS)
def test_an_optimised_network_equals_tensorflows(name):
    options = MANIFEST["networks"][name]["options"]
    x = normalised(make_image(*options["image_size"], options["image_seed"]), options)
    network = _Network(options).eval()
    quick = optimised(network, lambda each: each(x))
    assert not any(isinstance(module, _BatchNorm) for module in quick.modules())
    logits, expected = quick(x), network(x)
    assert relative_error(name, "logits", logits, (reduced(name), full(name))) <= 1e-5
    same = logits.argmax(1) == expected.argmax(1)
    assert same[clear(expected)].all()


def test_the_goldens_have_quick_depthwise_convolutions():
    options = MANIFEST["networks"]["r18_v3plus_os8_64x96"]["options"]
    quick = optimised(_Network(options), lambda each: None)
    rates = [m.conv.dilation[0] for m in quick.modules() if isinstance(m, QuickDepthwiseConv2d)]
    assert rates == [12, 24, 36]


STOCK = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor"),
    test_cfg=dict(mode="whole"),
)
BN = dict(type="BN")
OTHERS = {
    "slide": dict(
        backbone=dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=0.25),
        decode_head=dict(type="FCNHead", in_channels=80, channels=8, num_classes=5, norm_cfg=BN),
        test_cfg=dict(mode="slide", crop_size=(65, 65), stride=(43, 43)),
    ),
    "norm first": dict(
        backbone=dict(type="DDRNet", channels=8, ppm_channels=16, norm_cfg=BN),
        decode_head=dict(
            type="DDRHead",
            in_channels=32,
            channels=8,
            num_classes=5,
            norm_cfg=BN,
            loss_decode=[dict(type="CrossEntropyLoss")] * 2,
        ),
    ),
    "no batch norm": dict(
        backbone=dict(type="MixVisionTransformer", embed_dims=8, num_layers=[1, 1, 1, 1]),
        decode_head=dict(
            type="SegformerHead",
            in_channels=[8, 16, 32, 64],
            in_index=[0, 1, 2, 3],
            channels=8,
            num_classes=5,
            norm_cfg=BN,
        ),
    ),
}


def built(config, *, variance=(0.5, 1.5)):
    """A segmentor whose batch norms do something."""
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(copy.deepcopy({**STOCK, **config}))).eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, *variance)
    return model


@torch.no_grad()
@pytest.mark.parametrize("kind", OTHERS)
def test_any_segmentor_is_optimised_and_left_as_it_is(kind):
    model = built(OTHERS[kind])
    before = copy.deepcopy(model.state_dict())
    image = torch.randn(1, 3, 128, 192)
    expected = configured_logits(model, image)
    quick = optimise(model)
    found = configured_logits(quick, image)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    left = sum(isinstance(module, _BatchNorm) for module in quick.modules())
    assert left < sum(isinstance(module, _BatchNorm) for module in model.modules())


class _LayoutMatters(nn.Module):
    """Like layers that take every map for a contiguous one: with an error, or without."""

    def __init__(self, *, says_so):
        super().__init__()
        self.says_so = says_so

    def forward(self, x):
        flat = x.view(-1) if self.says_so else x.as_strided((x.numel(),), (1,))
        return flat.reshape(x.shape)


@torch.no_grad()
@pytest.mark.parametrize("says_so", [True, False])
def test_a_network_that_another_layout_breaks_runs_as_it_is(says_so, monkeypatch):
    log = []
    monkeypatch.setattr(optimise_module, "print_log", lambda message, *others: log.append(message))
    # Untrained networks tell images apart only if their batch norms amplify.
    model = built(dict(OTHERS["slide"], test_cfg=dict(mode="whole")), variance=(0.01, 0.02))
    model.decode_head.dropout = _LayoutMatters(says_so=says_so)
    image = torch.randn(2, 3, 65, 97)
    assert torch.equal(configured_logits(optimise(model), image), configured_logits(model, image))
    (said,) = log
    assert ("view size" in said) is says_so


@torch.no_grad()
def test_a_network_that_runs_only_on_its_crop_is_folded_by_an_image_of_that_size():
    head = dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=80,
        channels=8,
        dilations=(1,),
        num_classes=3,
        image_pooling=dict(crop_size=(97, 97), output_stride=16),
    )
    config = {**STOCK, **OTHERS["slide"], "decode_head": head, "test_cfg": dict(mode="whole")}
    config["data_preprocessor"] = dict(type="SegDataPreProcessor", test_cfg=dict(size=(97, 97)))
    quick = optimise(MODELS.build(ConfigDict(copy.deepcopy(config))))
    assert not any(isinstance(module, _BatchNorm) for module in quick.modules())


@torch.no_grad()
@pytest.mark.parametrize("form", [padded, shifted])
@pytest.mark.parametrize(("rate", "size"), [(2, (9, 12)), (5, (6, 4)), (12, (33, 33))])
def test_every_form_of_a_depthwise_convolution_computes_the_same(form, rate, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(7, 7, 3, padding=rate, dilation=rate, groups=7).double()
    x = torch.randn(2, 7, *size).double()
    torch.testing.assert_close(form(conv, x), conv(x), rtol=1e-12, atol=1e-12)


def test_the_form_follows_layout_type_rate_and_size():
    def chosen(rate, side, dtype=torch.float32, layout=torch.channels_last):
        conv = nn.Conv2d(4, 4, 3, padding=rate, dilation=rate, groups=4)
        x = torch.zeros(1, 4, side, side, dtype=dtype)
        return quickest_form(conv, x.contiguous(memory_format=layout))

    assert chosen(6, 33) is plain
    assert chosen(12, 33) is shifted
    assert chosen(12, 65) is padded
    assert chosen(24, 65) is shifted
    assert chosen(24, 65, dtype=torch.bfloat16) is padded
    assert chosen(24, 65, layout=torch.contiguous_format) is plain


@pytest.mark.parametrize(
    "changed",
    [dict(groups=1), dict(stride=2), dict(padding=0), dict(padding_mode="reflect")],
    ids=str,
)
def test_other_convolutions_keep_their_form(changed):
    usual = dict(kernel_size=3, padding=12, dilation=12, groups=8)
    assert has_forms(nn.Conv2d(8, 8, **usual))
    assert not has_forms(nn.Conv2d(8, 8, **{**usual, **changed}))


@pytest.mark.skipif(
    not WEIGHTS.with_name("model.ckpt.index").exists(), reason=f"no trained weights in {REAL}"
)
@torch.no_grad()
def test_trained_weights_label_photographs_the_same(tmp_path):
    weights, config = convert(tmp_path, "--output-stride", 8, "--crop-size", 257, 257)
    network = load_network(weights, config)
    quick = optimise(network)
    for file in sorted((REAL / "expected").glob("mobilenet_v2_dm05_voc__*.npz"))[:2]:
        with np.load(file) as arrays:
            image = torch.from_numpy(arrays["image"].transpose(2, 0, 1).copy())
        image = image[None].float() / 127.5 - 1
        expected, found = configured_logits(network, image), configured_logits(quick, image)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert (found.argmax(1) == expected.argmax(1))[clear(expected)].all()
