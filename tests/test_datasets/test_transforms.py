"""The resizing transforms, and the training pipeline they are part of, against TensorFlow's."""

from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose, Pad, RandomFlip, TransformBroadcaster
from mmengine.config import Config
from mmseg.datasets.transforms import PackSegInputs, RandomCrop
from mmseg.models import SegDataPreProcessor
from mmseg.registry import TRANSFORMS
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_deeplab_ext.datasets.aligned_resize import (
    resize_bilinear,
    resize_nearest,
)
from mmseg_deeplab_ext.datasets.transforms import RandomScaleCrop, ResizeToRange
from mmseg_deeplab_ext.errors import ConfigError, DatasetError
from mmseg_deeplab_ext.launch.checked_loading import checked_loader
from tests.support.preprocess_goldens import golden, largest_difference, shape

BASES = Path(__file__).parents[2] / "configs" / "_base_" / "datasets"
MEAN_PIXEL = (123.15, 115.90, 103.06)
SCALED = dict(mean=[127.5] * 3, std=[127.5] * 3)
GREY = (127.5, 127.5, 127.5)
SUBTRACTED = dict(mean=list(MEAN_PIXEL), std=[1.0] * 3)


@pytest.fixture(autouse=True)
def _mmseg_scope():
    register_all_modules()


def sample(image=None, label=None):
    """A loaded sample; the golden image unless told otherwise."""
    image = golden("image") if image is None else image
    label = golden("label")[..., 0].astype(np.uint8) if label is None else label
    return dict(
        img=image,
        img_shape=image.shape[:2],
        ori_shape=image.shape[:2],
        gt_seg_map=label,
        seg_fields=["gt_seg_map"],
    )


def random_sample(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return sample(image, rng.integers(0, 21, (height, width), dtype=np.uint8))


def scaled(scale, **options):
    """All of the golden image, scaled: the crop is as large as it becomes."""
    size = shape(f"scale{scale:.2f}_image")[:2]
    return RandomScaleCrop(size, ratio_range=(scale, scale), **options)(sample())


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
def test_scaled_images_and_labels_equal_tensorflows_to_the_last_bit(scale):
    results = scaled(scale)
    assert results["img"].dtype == np.float32
    assert results["gt_seg_map"].dtype == np.uint8
    assert largest_difference(f"scale{scale:.2f}_image", results["img"]) == 0
    assert largest_difference(f"scale{scale:.2f}_label", results["gt_seg_map"][..., None]) == 0
    height, width = shape(f"scale{scale:.2f}_image")[:2]
    assert results["img_shape"] == (height, width)
    assert results["scale"] == (width, height)
    assert results["scale_factor"] == (width / 83, height / 61)
    assert results["ori_shape"] == (61, 83)


def test_the_scales_are_tensorflows_and_equally_likely():
    np.random.seed(0)
    transform = RandomScaleCrop((65, 97))
    drawn = [float(transform._random_ratio()) for _ in range(7000)]
    ratios, counts = np.unique(drawn, return_counts=True)
    assert ratios.tolist() == golden("random_scale_values_seen").tolist()
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_without_a_step_the_scale_is_anything_in_the_range():
    np.random.seed(0)
    transform = RandomScaleCrop((65, 97), step=0)
    drawn = [float(transform._random_ratio()) for _ in range(500)]
    assert len(set(drawn)) == 500
    assert 0.5 <= min(drawn) < 0.52
    assert 1.98 < max(drawn) <= 2.0


def test_seeds_repeat_the_scales():
    transform = RandomScaleCrop((65, 97))
    drawn = []
    for _ in range(2):
        np.random.seed(7)
        drawn.append([float(transform._random_ratio()) for _ in range(20)])
    assert drawn[0] == drawn[1]


def test_images_of_one_sample_share_their_scale_where_mmcvs_broadcaster_says_so():
    np.random.seed(0)
    broadcaster = TransformBroadcaster(
        [RandomScaleCrop((65, 97))],
        mapping=dict(img=["left", "right"]),
        auto_remap=True,
        share_random_params=True,
    )
    image = random_sample(64, 96)["img"]
    for _ in range(20):
        results = broadcaster(dict(left=image, right=image))
        assert np.array_equal(results["left"], results["right"])


def test_an_image_that_would_vanish_keeps_one_pixel():
    results = RandomScaleCrop((1, 10), ratio_range=(0.25, 0.25))(random_sample(2, 40))
    assert results["img"].shape == (1, 10, 3)
    assert (results["gt_seg_map"] < 21).all()


def test_images_resized_to_a_range_equal_tensorflows_to_the_last_bit():
    results = ResizeToRange(97, max_size=97, factor=16)(sample())
    assert largest_difference("range97f16_resized", results["img"]) == 0
    padded = Pad(size=(97, 97), pad_val=dict(img=GREY, seg=255))(results)
    # TensorFlow subtracts the mean pixel, pads with 0 and adds it again: roundings of float32.
    assert largest_difference("range97f16_image", padded["img"]) < 4e-6
    assert largest_difference("range97f16_label", padded["gt_seg_map"][..., None]) == 0


def test_the_resized_image_counts_as_the_original_one_on_request():
    assert ResizeToRange(97)(sample())["ori_shape"] == (61, 83)
    results = ResizeToRange(97, as_original=True)(sample())
    assert results["ori_shape"] == results["gt_seg_map"].shape == results["img"].shape[:2]


def scale_crop(**options):
    return RandomScaleCrop((65, 97), **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomScaleCrop(513), "crop_size=513 must be 2 whole numbers"),
        (lambda: RandomScaleCrop((513, 0)), r"crop_size=\(513, 0\) must be"),
        (lambda: scale_crop(ratio_range=(2.0, 0.5)), r"ratio_range is \(2.0, 0.5\).*above 0"),
        (lambda: scale_crop(ratio_range=(0, 2.0)), r"ratio_range is \(0, 2.0\)"),
        (lambda: scale_crop(ratio_range=0.5), "ratio_range is 0.5"),
        (lambda: scale_crop(ratio_range=("a", "b")), "ratio_range is"),
        (lambda: scale_crop(step=-0.25), "step is -0.25; expected a number above 0"),
        (lambda: scale_crop(step=None), "step is None"),
        (lambda: scale_crop(pad_val="grey"), "pad_val is 'grey'; expected numbers for img and seg"),
        (lambda: scale_crop(pad_val=None), "pad_val is None; expected numbers"),
        (lambda: scale_crop(pad_val=dict(label=0)), "pad_val is {'label': 0}"),
        (lambda: scale_crop(pad_val=dict(seg=300)), r"pad_val\['seg'\] is 300; labels have 8 bits"),
        (lambda: scale_crop(pad_val=dict(seg=0.5)), r"pad_val\['seg'\] is 0.5"),
        (
            lambda: scale_crop(pad_val=dict(img=(1, 2)))(random_sample(8, 8)),
            r"shape \(\d+, \d+, 3\); expected a number, or one per channel",
        ),
        (lambda: ResizeToRange(0), "scale is 0; expected a whole number"),
    ],
)
def test_impossible_arguments_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


BLUE_FIRST = MEAN_PIXEL[::-1]
# What is subtracted and divided by, and the mean pixel of the padding.
VARIANTS = {
    "resnet_v1_50_beta": (SCALED, GREY),
    "resnet_v1_18_beta": (SCALED, GREY),
    "xception_65": (SCALED, GREY),
    "mobilenet_v2": (SCALED, GREY),
    "resnet_v1_50": (SUBTRACTED, BLUE_FIRST),
    "resnet_v1_18": (SUBTRACTED, GREY),
}


def preprocessed(results, options, size=(65, 97)):
    """What the network and its loss get: RGB image (height, width, 3) and labels."""
    packed = PackSegInputs()(results)
    preprocessor = SegDataPreProcessor(
        **options, bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=size
    )
    data = dict(inputs=[packed["inputs"]], data_samples=[packed["data_samples"]])
    data = preprocessor(data, training=True)
    labels = data["data_samples"][0].gt_sem_seg.data[0]
    return data["inputs"][0].permute(1, 2, 0).numpy(), labels.numpy()


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_normalisation_are_those_of_every_network(variant):
    options, mean_pixel = VARIANTS[variant]
    pad_val = dict(img=mean_pixel, seg=255)
    transform = RandomScaleCrop((97, 129), ratio_range=(1.0, 1.0), pad_val=pad_val)
    results = transform(sample(golden("image")[..., ::-1]))
    padded = results["img"][..., ::-1]
    # TensorFlow subtracts the mean pixel, pads with 0 and adds it again: roundings of float32.
    assert largest_difference(f"pad97x129_image_{variant}", padded) <= 8e-6
    image, labels = preprocessed(results, options)
    # Two ways to write the scaling to [-1, 1] differ by a rounding of float32.
    tolerance = 1.2e-7 if options is SCALED else 0
    assert largest_difference(f"normalized_{variant}", image[None]) <= tolerance
    assert largest_difference(f"pad97x129_label_{variant}", labels[..., None]) == 0


def stepwise(results):
    """What `RandomScaleCrop` does, one step after the other, with MMCV's and MMSegmentation's."""
    ratio = np.float32(np.linspace(0.5, 2.0, 7)[np.random.randint(7)])
    size = tuple(int(np.float32(side) * ratio) for side in results["img"].shape[:2])
    results["img"] = resize_bilinear(results["img"], size)
    results["gt_seg_map"] = resize_nearest(results["gt_seg_map"], size)
    # One value per channel: of a single number OpenCV fills the first channel only.
    results = Pad(size=(97, 65), pad_val=dict(img=(127.5,) * 3, seg=255))(results)
    return RandomCrop((65, 97))(results)


@pytest.mark.parametrize("size", [(40, 50), (40, 200), (200, 50), (200, 250), (65, 97)])
def test_it_equals_scaling_padding_and_cropping_in_steps_of_the_same_seed(size):
    offsets = set()
    for seed in range(15):
        outcomes = []
        for transform in (RandomScaleCrop((65, 97)), stepwise):
            np.random.seed(seed)
            results = transform(random_sample(*size))
            outcomes.append([results["img"], results["gt_seg_map"], np.random.random()])
            assert results["img_shape"] == (65, 97)
        for fused, alone in zip(*outcomes):
            assert np.array_equal(fused, alone)
        offsets.add(outcomes[0][0].tobytes())
    assert len(offsets) > 5


def test_padding_lies_on_the_left_of_flipped_images_as_in_tensorflow():
    steps = Compose([scale_crop(ratio_range=(0.5, 0.5)), RandomFlip(1.0)])
    results = steps(random_sample(60, 80))
    assert (results["gt_seg_map"][:, :57] == 255).all()
    assert (results["img"][:, :57] == 127.5).all()
    assert (results["gt_seg_map"][:30, 57:] < 21).all()


def written(folder, label):
    """A sample's files, as a data set names them."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (*label.shape, 3), dtype=np.uint8)).save(folder / "i.png")
    Image.fromarray(label).save(folder / "l.png")
    return dict(
        img_path=str(folder / "i.png"),
        seg_map_path=str(folder / "l.png"),
        reduce_zero_label=False,
        label_map=None,
        seg_fields=[],
    )


def pipeline_of(base, classes, folder):
    """A training pipeline as the tools use it: behind the checked loading."""
    cfg = Config.fromfile(BASES / f"{base}.py")
    dataset = dict(type="BaseSegDataset", metainfo=dict(classes=[str(i) for i in range(classes)]))
    loader = dict(dataset=dict(dataset, pipeline=cfg.train_pipeline))
    checked = checked_loader(loader)["dataset"]["pipeline"]
    return Compose([TRANSFORMS.build(step) for step in checked])


BASES_AND_CROPS = dict(pascal_voc12=513, cityscapes=769, ade20k=513)


@pytest.mark.parametrize("base", BASES_AND_CROPS)
def test_the_training_pipelines_give_crops_of_float32(base, tmp_path):
    np.random.seed(0)
    label = np.random.default_rng(0).integers(0, 19, (75, 100), dtype=np.uint8)
    pipeline = pipeline_of(base, 19, tmp_path)
    for _ in range(3):
        packed = pipeline(written(tmp_path, label))
        size = (BASES_AND_CROPS[base],) * 2
        assert packed["inputs"].shape == (3, *size)
        assert str(packed["inputs"].dtype) == "torch.float32"
        labels = packed["data_samples"].gt_sem_seg.data[0]
        assert labels.shape == size
        padding = packed["inputs"][:, labels == 255]
        assert padding.numel() == 0 or bool((padding == 127.5).all())


@pytest.mark.parametrize("base", BASES_AND_CROPS)
def test_a_label_out_of_range_is_an_error_that_names_file_value_and_classes(base, tmp_path):
    label = np.full((75, 100), 18, np.uint8)
    label[3, 4] = 19
    pipeline = pipeline_of(base, 19, tmp_path)
    with pytest.raises(DatasetError, match=r"l\.png: label values 19 .*19 classes.*0 to 18"):
        pipeline(written(tmp_path, label))


def test_ade20k_is_resized_to_513_for_output_stride_16():
    cfg = Config.fromfile(BASES / "ade20k.py")
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline, cfg.tta_pipeline):
        (step,) = (step for step in pipeline if step.type == "mmseg_deeplab_ext.ResizeToRange")
        results = TRANSFORMS.build(step)(random_sample(375, 500))
        assert results["img"].shape == (385, 513, 3)
        assert results["ori_shape"] == (375, 500)
