"""DeepLabV3PlusHead as MMSegmentation's users configure it (its numerics: test_goldens)."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from mmseg_deeplab_ext.conversion.config_file import network_config
from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from mmseg_deeplab_ext.decode_heads.image_pooling import ImagePooling, Windows
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.quantised_sigmoid import quantised_sigmoid
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.tf_files import head, head_with_logits_decoder

SMALL = dict(in_channels=32, channels=8, num_classes=3)


def features(widths=(4, 8, 16, 32)):
    generator = torch.Generator().manual_seed(0)
    sizes = ((17, 25), (9, 13), (5, 7), (5, 7))
    return tuple(torch.randn(2, w, *s, generator=generator) for w, s in zip(widths, sizes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(dilations=(6, 12, 18)), r"dilations=\(6, 12, 18\) must start with 1"),
        (dict(dilations=(1, -6)), r"dilations=\(1, -6\) must be a list of whole numbers"),
        (dict(dilations=1), "dilations=1 must be a list"),
        (dict(c1_in_channels=4, c1_in_index=-1), "c1_in_index=.* of at least 0"),
        (dict(c1_in_channels=None), r"c1_in_channels=\[None\]"),
        (dict(c1_in_channels=[4, 8], c1_in_index=[0, 1]), "from coarse to fine"),
        (dict(c1_in_channels=[8, 4, 2], c1_in_index=[1, 0]), "lists of the same length"),
        (dict(image_pooling=dict(crop_size=(65, 97))), "missing .*output_stride"),
        (
            dict(image_pooling=dict(crop_size=(9, 9), output_stride=8, size=3)),
            r"unknown \['size'\]",
        ),
        (dict(image_pooling=None), "image_pooling=None must be True, False, or a dict"),
        (
            dict(image_pooling=dict(crop_size=513, output_stride=16)),
            "crop_size=513 must be 2",
        ),
        (
            dict(image_pooling=dict(crop_size=(9, 9), output_stride=0)),
            "output_stride=.* least 1",
        ),
        (dict(act_cfg=dict(type="GELU")), "takes no act_cfg"),
        (dict(aspp_channels=16), "aspp_channels=16 and channels=8 must be equal"),
        (dict(aspp_projection=False), "must be those of all branches: 40"),
        (dict(aspp_squeeze_excite=True), "=True must be None, sigmoid or qsigmoid"),
        (
            dict(aspp_squeeze_excite="sigmoid", image_pooling=False),
            "made from the image pooling, which image_pooling=False omits",
        ),
        (
            dict(aspp_squeeze_excite="sigmoid", aspp_projection=False, c1_in_channels=4),
            "has 8 channels, 4 branches without aspp_projection 32",
        ),
        (dict(decoder_sum_merge=True), "decoder_sum_merge=True, .*there is no decoder"),
        (dict(decoder_logits=True), "decoder_logits=True: there is no decoder"),
        (
            dict(decoder_sum_merge=True, c1_in_channels=4, c1_channels=48),
            "c1_channels=48 must be channels=8 where both are added",
        ),
        (
            dict(decoder_logits=True, c1_in_channels=4),
            "channels=8 must be the number of classes, 3, where the decoder",
        ),
    ],
)
def test_an_impossible_argument_is_refused_with_advice(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DeepLabV3PlusHead(**SMALL, **arguments)


def test_a_pooling_window_larger_than_the_feature_map_is_refused():
    pooling = dict(crop_size=(513, 513), output_stride=16)
    head = DeepLabV3PlusHead(**SMALL, image_pooling=pooling).eval()
    with pytest.raises(ConfigError, match=r"window of \(33, 33\) cells.*only \(5, 7\)"):
        head(features())


def test_image_pooling_can_not_train_its_batch_norm_on_a_single_image():
    head = DeepLabV3PlusHead(**SMALL).train()
    with pytest.raises(ConfigError, match="batch of one image.*batch_size.*FreezeBatchNormHook"):
        head([x[:1] for x in features()])
    head.aspp.image_pooling.conv.norm.eval()
    head([x[:1] for x in features()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(in_index=4), "in_index=4, but the backbone returns 4 feature maps"),
        (dict(in_index=2), "in_channels=32, but the backbone.s map 2 has 16 channels"),
        (dict(c1_in_channels=4, c1_in_index=5), "c1_in_index=5, but the backbone returns 4"),
        (dict(c1_in_channels=8), "c1_in_channels=8, but the backbone.s map 0 has 4 channels"),
    ],
)
def test_a_feature_map_that_is_not_there_or_has_another_width_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DeepLabV3PlusHead(**SMALL, **arguments)(features())


def test_the_pooled_windows_move_by_the_stride_and_are_resized_with_aligned_corners():
    pooling = ImagePooling(1, 1, windows=Windows((2, 3), stride=(2, 3)), norm_cfg=dict(type="BN"))
    pooling.conv = torch.nn.Identity()
    x = torch.randn(1, 1, 7, 10, dtype=torch.float64)
    # TensorFlow's VALID pooling: whole windows only, the rest of the map is left out.
    pooled = x[0, 0, :6, :9].reshape(3, 2, 3, 3).mean(dim=(1, 3)).numpy()
    rows, columns = np.linspace(0, 2, 7), np.linspace(0, 2, 10)
    by_row = np.stack([np.interp(rows, range(3), pooled[:, j]) for j in range(3)], axis=1)
    expected = np.stack([np.interp(columns, range(3), by_row[i]) for i in range(7)])
    np.testing.assert_allclose(pooling(x)[0, 0].numpy(), expected, atol=1e-12)


def test_separable_convolutions_start_as_tensorflows_do():
    torch.manual_seed(0)
    head = DeepLabV3PlusHead(512, 64, num_classes=3, c1_in_channels=256)
    head.init_weights()
    for conv in (head.aspp.branches[1], head.decoder[0].convs[0]):
        # A normal distribution cut at two standard deviations has 0.88 of its deviation.
        assert conv.depthwise_conv.conv.weight.std().item() == pytest.approx(0.29, rel=0.05)
        assert conv.pointwise_conv.conv.weight.std().item() == pytest.approx(0.053, rel=0.05)
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_a_decoder_that_makes_the_logits_starts_with_glorots_weights_and_no_bias():
    torch.manual_seed(0)
    head = DeepLabV3PlusHead(
        64, 96, aspp_channels=64, num_classes=96, c1_in_channels=64,
        decoder_sum_merge=True, decoder_logits=True,
    )  # fmt: skip
    head.init_weights()
    assert head.conv_seg is None
    for conv in (head.decoder[0].projection, head.decoder[0].convs[0]):
        assert conv.weight.std().item() == pytest.approx((2 / (64 + 96)) ** 0.5, rel=0.05)
        assert not conv.bias.any()


def test_a_sum_merge_convolves_the_resized_feature_and_adds_the_projected_tap():
    head = DeepLabV3PlusHead(
        32, 3, aspp_channels=8, num_classes=3, c1_in_channels=4,
        decoder_sum_merge=True, decoder_logits=True,
    ).eval()  # fmt: skip
    tap, *_, final = features()
    stage = head.decoder[0]
    resized = nn.functional.interpolate(
        head.aspp(final), tap.shape[-2:], mode="bilinear", align_corners=True
    )
    expected = stage.convs[0](resized) + stage.projection(tap)
    torch.testing.assert_close(head(features()), expected)


def test_a_quantised_sigmoid_is_straight_between_minus_3_and_3():
    x = torch.tensor([-9.0, -3, -1.5, 0, 3, 9], dtype=torch.float64)
    expected = torch.tensor([0, 0, 0.250005, 0.50001, 1.00002, 1.00002], dtype=torch.float64)
    torch.testing.assert_close(quantised_sigmoid(x), expected, rtol=0, atol=1e-15)


def test_the_head_works_on_a_backbone_of_mmseg():
    backbone = MODELS.build(dict(type="ResNetV1c", depth=18, norm_cfg=dict(type="BN")))
    backbone.eval()
    head = DeepLabV3PlusHead(512, 16, num_classes=3, c1_in_channels=64).eval()
    with torch.no_grad():
        logits = head(backbone(torch.randn(1, 3, 64, 96)))
    assert logits.shape == (1, 3, 16, 24)


@pytest.mark.parametrize(
    ("decoder", "size"),
    [
        (dict(), (5, 7)),
        (dict(c1_in_channels=4), (17, 25)),
        (dict(c1_in_channels=8, c1_in_index=1), (9, 13)),
        (dict(c1_in_channels=8, c1_in_index=1, decoder_sum_merge=True), (9, 13)),
        (dict(c1_in_channels=(8, 4), c1_in_index=(1, 0), decoder_sum_merge=True), (17, 25)),
        (dict(c1_in_channels=(8, 4), c1_in_index=(1, 0)), (17, 25)),
        (dict(c1_in_channels=(16, 8, 4), c1_in_index=(2, 1, 0), c1_channels=(6, 5, 4)), (17, 25)),
    ],
)
def test_logits_come_at_the_size_of_the_last_tap(decoder, size):
    head = DeepLabV3PlusHead(**SMALL, **decoder).eval()
    assert head(features()).shape == (2, 3, *size)


HEADS = {
    "cell": head(512, taps=[64], dense_prediction_cell=PUBLISHED["branch5_top1_cityscapes"]),
    "squeeze-and-excite": head(512, num_rates=3, aspp_squeeze_excite="sigmoid"),
    "sum merge": head(512, taps=[128, 64], projected=256, decoder_sum_merge=True),
    "MobileNetV3's": head_with_logits_decoder(512, taps=[128]),
}


@pytest.mark.parametrize("of_file", HEADS.values(), ids=HEADS)
def test_the_config_that_is_written_for_a_head_builds_it(of_file):
    cfg = network_config(NetworkSpec(ResNetV1BetaSpec(18), of_file))
    with torch.device("meta"):
        built = MODELS.build(cfg.model.decode_head)
    assert built.spec == of_file
    rules = {rule.torch_name[len("decode_head.") :] for rule in built.spec.rules()}
    assert rules == {name for name in built.state_dict() if "num_batches" not in name}


def test_mobilenet_v3s_config_pools_the_windows_of_its_training():
    network = NetworkSpec(ResNetV1BetaSpec(18), HEADS["MobileNetV3's"])
    written = network_config(network, output_stride=32).model.decode_head
    window = dict(crop_size=(769, 769), output_stride=32, stride=(4, 5))
    assert written.image_pooling == window
    assert written.c1_in_index == 1


def test_dropout_is_elementwise_after_the_projection_and_absent_before_the_logits():
    head = DeepLabV3PlusHead(**SMALL, dropout_ratio=0.5)
    assert head.dropout is None
    assert [m for m in head.modules() if isinstance(m, nn.Dropout)] == [head.aspp.dropout]
    assert head.dropout_ratio == head.aspp.dropout.p == 0.5
    assert not any(isinstance(m, nn.Dropout2d) for m in head.modules())


def test_the_loss_is_averaged_over_the_pixels_that_are_not_ignored():
    head = DeepLabV3PlusHead(**SMALL)
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.full((1, 4, 4), 255)
    labels[0, 0] = 1
    loss = head.loss_decode(logits, labels, ignore_index=255)
    expected = nn.functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(loss, expected)


def test_batch_norms_have_tensorflows_constants():
    head = DeepLabV3PlusHead(**SMALL, c1_in_channels=4)
    norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.0003, 1.001e-5)}


def test_sliding_windows_and_samplers_of_mmseg_apply():
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    model = MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18),
            decode_head=dict(
                type="mmseg_deeplab_ext.DeepLabV3PlusHead", in_channels=512, channels=16,
                c1_in_channels=64, num_classes=3,
                sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=100),
            ),
            test_cfg=ConfigDict(mode="slide", crop_size=(49, 49), stride=(32, 32)),
        )
    )  # fmt: skip
    image = torch.randn(2, 3, 65, 97)
    with torch.no_grad():
        results = model.eval().predict(image)
    assert results[0].pred_sem_seg.data.shape == (1, 65, 97)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 65, 97).long()))] * 2
    losses = model.train().loss(image, samples)
    losses["decode.loss_ce"].backward()
