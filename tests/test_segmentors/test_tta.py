"""Scales, flips, image pyramids and nearest labels, merged as the official code merges them."""

import copy
import functools

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.segmentors import DeepLabTTAModel
from tests.data.make_evaluation_goldens import sample
from tests.support.deterministic import make_image
from tests.support.evaluation_goldens import names, stored, whole_probabilities
from tests.support.segmentors import CONFIGS, batch_of, segmentor_of

register_all_modules()
CONFIG = "deeplabv3plus/deeplabv3plus_r50beta-d16_b16-30k_voc12-513x513.py"
GOLDENS = names()


@functools.lru_cache(maxsize=1)
def segmentor():
    """The one network of all these golden files."""
    return segmentor_of(stored(GOLDENS[0])["options"], CONFIG)


def tta_config(options):
    """The config of the TTA model that does what the official options say."""
    if "image_pyramid" in options:
        return dict(scales=options["image_pyramid"], flip=False, merge="max")
    if not options.get("prediction_with_upsampled_logits", True):
        return dict(scales=(1.0,), flip=False, merge="max", upsample="labels")
    return dict(scales=options["eval_scales"], flip=options["add_flipped_images"])


def evaluated(name, dtype):
    """Scores [H, W, classes] and labels [H, W] of a golden file's image, by the TTA model."""
    options = stored(name)["options"]
    module = segmentor().to(dtype)
    model = DeepLabTTAModel(module, **tta_config(options))
    batch = batch_of(make_image(*options["image_size"], options["image_seed"]))
    prepared = module.float().data_preprocessor(batch, False)  # TensorFlow's float32
    module.to(dtype)
    with torch.no_grad():
        scores = model.merged(prepared["inputs"].to(dtype))
    (result,) = module.postprocess_result(scores, prepared["data_samples"])
    return scores[0].permute(1, 2, 0).numpy(), result.pred_sem_seg.data[0].numpy()


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_merge_equals_tensorflows(name, dtype):
    golden = stored(name)
    scores, labels = evaluated(name, dtype)
    assert np.array_equal(labels, golden["prediction"])
    if "prob" in golden:
        # model.py:165: the softmax of what the labels come from, of a mean of softmaxes too.
        probabilities = torch.from_numpy(scores).softmax(dim=-1).numpy()
        tolerance = 1e-5 if "image_pyramid" in golden["options"] else 1e-6  # a mean spans little
        assert np.abs(sample(probabilities) - golden["prob"]).max() <= tolerance
        whole = whole_probabilities(name)
        assert whole is None or np.abs(probabilities - whole[0]).max() <= tolerance


def test_the_goldens_have_all_kinds_of_merges():
    configs = [tta_config(stored(name)["options"]) for name in GOLDENS]
    assert {config["flip"] for config in configs} == {True, False}
    assert {min(config["scales"]) < 1 for config in configs} == {True, False}
    assert {config.get("merge") for config in configs} == {None, "max"}
    assert {config.get("upsample") for config in configs} == {None, "labels"}


SMALL = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[127.5] * 3,
        std=[127.5] * 3,
        bgr_to_rgb=True,
        test_cfg=dict(size=(65, 97)),
    ),
    backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18, output_stride=16),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=512,
        channels=16,
        c1_in_channels=64,
        num_classes=5,
    ),
    test_cfg=dict(mode="whole"),
)


def built(module=SMALL, **arguments):
    """A TTA model from a config, as the Runner builds it, with visible differences of logits."""
    torch.manual_seed(0)
    config = dict(type="mmseg_deeplab_ext.DeepLabTTAModel", module=copy.deepcopy(module))
    model = MODELS.build({**config, **arguments}).eval()
    head = getattr(model.module, "decode_head", None)
    if head is not None:
        torch.nn.init.normal_(head.conv_seg.weight)
    return model


@torch.no_grad()
def test_every_image_gets_labels_of_its_own_size():
    model = built(scales=(0.5, 1.0))
    images = [make_image(49, 70, seed) for seed in (0, 1)]
    batches = [batch_of(image) for image in images]
    batch = {key: [each[key][0] for each in batches] for key in ("inputs", "data_samples")}
    results = model.test_step(batch)
    padded = model.module.data_preprocessor(batch, False)["inputs"]
    expected = model.merged(padded)[..., :49, :70]
    for result, probabilities in zip(results, expected):
        assert torch.equal(result.seg_logits.data, probabilities)
        assert torch.equal(result.pred_sem_seg.data[0], probabilities.argmax(dim=0))
        assert torch.allclose(probabilities.sum(dim=0), torch.ones(49, 70))
    assert not torch.equal(expected[0], expected[1])


@torch.no_grad()
def test_logits_are_merged_by_their_largest_or_their_mean():
    image = torch.randn(1, 3, 65, 97)
    model = built(scales=(1.0,), flip=True, merge="avg")
    plain = model.module(image, mode="tensor")
    mirrored = model.module(image.flip(-1), mode="tensor").flip(-1)
    for merge, expected in (
        ("avg", (plain + mirrored) / 2),
        ("max", torch.max(plain, mirrored)),
    ):
        merged = built(scales=(1.0,), flip=True, merge=merge).merged(image)
        # Every fourth pixel lies on the grid of the logits.
        assert torch.allclose(merged[..., ::4, ::4], expected, atol=1e-5)


@torch.no_grad()
def test_windows_of_the_image_pooling_are_scaled_with_the_image():
    def with_window(*size):
        module = copy.deepcopy(SMALL)
        module["decode_head"]["image_pooling"] = dict(crop_size=size, output_stride=16)
        return built(module, scales=(0.5,), flip=False, merge="max")

    model, of_half_the_size = with_window(49, 65), with_window(25, 33)
    image = torch.randn(1, 3, 65, 97)
    half = resize(image, size=(33, 49), mode="bilinear", align_corners=True)
    logits = of_half_the_size.module(half, mode="tensor")
    merged = model.merged(image)
    assert torch.allclose(merged[..., ::8, ::8], logits, atol=1e-5)
    with pytest.raises(ConfigError, match=r"window of \(4, 5\)"):  # scaled for the merge only
        model.module(half, mode="tensor")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(scales=()), r"scales=\(\) must be a list of positive factors"),
        (dict(scales=1.0), "scales=1.0 must be"),
        (dict(scales=(1.0, -0.5)), "must be a list of positive factors"),
        (dict(merge="mean"), "merge='mean' must be one of softmax, max, avg"),
        (dict(upsample="bilinear"), "upsample='bilinear' must be one of logits, labels"),
        (dict(upsample="labels"), "use it with merge='max' or 'avg'"),
        (
            dict(module={**SMALL, "test_cfg": dict(mode="slide", crop_size=(65, 65))}),
            "mode='slide': the official evaluation over scales takes the whole image",
        ),
        (
            dict(
                module={
                    **SMALL,
                    "decode_head": {**SMALL["decode_head"], "num_classes": 2, "out_channels": 1},
                }
            ),
            "one output channel",
        ),
    ],
)
def test_an_argument_outside_what_is_allowed_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        built(**arguments)


def test_copies_of_an_image_are_refused_with_what_to_change():
    image = torch.zeros(3, 65, 97, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="2 copies of it: take TestTimeAug out"):
        built().test_step(dict(inputs=[[image], [image]], data_samples=[[None], [None]]))


class OddLogits(nn.Module):
    """A network whose logits lie on no grid of the image."""

    def forward(self, images, mode):
        return images[..., 3:, 3:]

    test_step = None


def test_a_network_without_a_stride_is_refused():
    with pytest.raises(ConfigError, match=r"logits of \(62, 94\) from an image of \(65, 97\)"):
        DeepLabTTAModel(OddLogits(), scales=(1.0,)).merged(torch.zeros(1, 3, 65, 97))


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("pascal_voc12", (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)),
        ("pascal_voc12_aug", (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)),
        ("ade20k", (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)),
        ("cityscapes", (0.75, 1.0, 1.25)),
    ],
)
def test_the_data_sets_configs_have_the_official_scales(name, scales):
    cfg = Config.fromfile(CONFIGS / "_base_" / "datasets" / f"{name}.py")
    assert cfg.tta_pipeline == cfg.test_pipeline
    model = built(SMALL, **{k: v for k, v in cfg.tta_model.items() if k != "type"})
    assert (model.scales, model.flip, model.merge) == (scales, True, "softmax")
