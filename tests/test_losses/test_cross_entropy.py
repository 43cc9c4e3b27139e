"""DeepLabCrossEntropyLoss equals TensorFlow's loss, and says what it does not take."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.losses import DeepLabCrossEntropyLoss
from tests.support.training_goldens import golden

GOLDEN = golden("aux_loss")
WEIGHTS = GOLDEN["label_weights"].tolist()
# Case of the golden file -> arguments of the loss.
CASES = {
    "up": {},
    "noup": {},
    "up_lw": dict(class_weight=WEIGHTS),
    "up_lw2.5": dict(loss_weight=2.5),
    "up_top25": dict(top_k_percent_pixels=0.25),
    "noup_top25": dict(top_k_percent_pixels=0.25),
    "up_top25_hem100_step50": dict(top_k_percent_pixels=0.25, hard_example_mining_step=100),
    "up_top25_lw": dict(top_k_percent_pixels=0.25, class_weight=WEIGHTS),
    "up_allignored": {},
}


@pytest.fixture
def iteration():
    """Set the iteration of the Runner that trains."""
    hub = MessageHub.get_instance("the_loss")

    def set_to(number):
        hub.update_info("iter", number)

    yield set_to
    MessageHub._instance_dict.pop("the_loss")


def loss_of_head(logits, labels, *, upsample_logits=True, **arguments):
    """The head's loss on given logits, as the segmentor calls it."""
    head = DeepLabV3PlusHead(
        8, 8, num_classes=21, dilations=(1,), upsample_logits=upsample_logits,
        loss_decode=dict(type="mmseg_deeplab_ext.DeepLabCrossEntropyLoss", **arguments),
    )  # fmt: skip
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    return head.loss_by_feat(logits, samples)["loss_ce"]


def loss(scores, labels, weight=None, **arguments):
    return DeepLabCrossEntropyLoss(**arguments)(scores, labels, weight=weight, ignore_index=255)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_equal_tensorflows(case, dtype, iteration):
    logits = torch.tensor(GOLDEN["logits"].transpose(0, 3, 1, 2), dtype=dtype, requires_grad=True)
    labels = torch.from_numpy(GOLDEN["labels"][..., 0].astype(np.int64))
    if case == "up_allignored":
        labels = torch.full_like(labels, 255)
    iteration(50)
    value = loss_of_head(logits, labels, upsample_logits=case.startswith("up"), **CASES[case])
    value.backward()
    assert value.dtype == dtype
    assert GOLDEN.error(f"loss_{case}", value.detach().numpy()) <= 3e-7
    gradient = logits.grad.permute(0, 2, 3, 1).numpy()
    assert GOLDEN.error(f"grad_{case}", gradient) <= 1e-6  # the reference is stored in float32


def small():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    labels = torch.arange(16).reshape(1, 4, 4) % 3
    labels[0, 0] = 255
    return scores, labels


def test_class_weights_work_beside_the_label_255_and_do_not_change_the_divisor():
    scores, labels = small()
    weights = [0.5, 0.0, 4.0]
    log_probabilities = scores.log_softmax(dim=1)
    expected = sum(
        -weights[label] * log_probabilities[0, label, i, j]
        for i in range(1, 4)
        for j in range(4)
        for label in [int(labels[0, i, j])]
    )
    assert loss(scores, labels, class_weight=weights).item() == pytest.approx(expected.item() / 12)


@pytest.mark.parametrize("mined", [{}, dict(top_k_percent_pixels=0.5)])
def test_without_a_pixel_to_train_on_the_loss_and_its_gradient_are_zero(mined):
    scores, labels = small()
    scores.requires_grad_()
    value = loss(scores, torch.full_like(labels, 255), class_weight=[1.0, 2.0, 3.0], **mined)
    value.backward()
    assert value.item() == 0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_the_share_of_mined_pixels_goes_down_from_all_to_the_wanted_one(iteration):
    scores, labels = small()
    arguments = dict(top_k_percent_pixels=0.25, hard_example_mining_step=100)
    pixels = DeepLabCrossEntropyLoss()(scores, labels, reduction_override="none").flatten()
    largest = pixels.sort(descending=True).values
    for step, count in ((0, 12), (20, 12), (40, 11), (100, 4), (500, 4)):
        iteration(step)
        value = loss(scores, labels, **arguments)
        assert value.item() == pytest.approx(largest[:count].mean().item()), step


def test_without_a_runner_the_ramp_counts_as_finished(monkeypatch):
    monkeypatch.setattr(MessageHub, "_instance_dict", type(MessageHub._instance_dict)())
    scores, labels = small()
    ramp = loss(scores, labels, top_k_percent_pixels=0.25, hard_example_mining_step=100)
    assert ramp == loss(scores, labels, top_k_percent_pixels=0.25)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_with_in_float32(dtype):
    scores, labels = small()
    half = (scores * 8).to(dtype).requires_grad_()
    value = loss(half, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad.dtype == dtype
    assert value.item() == pytest.approx(loss(half.detach().double(), labels).item(), rel=1e-6)


def test_a_samplers_weights_and_its_request_for_the_losses_of_the_pixels_are_honoured():
    scores, labels = small()
    kept = torch.zeros(1, 4, 4, dtype=torch.float64)
    kept[0, 3] = 1
    pixels = DeepLabCrossEntropyLoss()(scores, labels, reduction_override="none")
    assert pixels.shape == labels.shape
    assert loss(scores, labels, weight=kept).item() == pytest.approx(pixels[0, 3].sum().item() / 12)


def test_every_label_counts_where_none_is_ignored():
    scores, labels = small()
    labels = labels % 3
    value = DeepLabCrossEntropyLoss()(scores, labels, ignore_index=None)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(scores, labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(top_k_percent_pixels=0), "top_k_percent_pixels=0 is the share"),
        (dict(top_k_percent_pixels=25), "top_k_percent_pixels=25 is the share"),
        (dict(top_k_percent_pixels=True), "top_k_percent_pixels=True is the share"),
        (dict(top_k_percent_pixels="a"), "top_k_percent_pixels='a' is the share"),
        (dict(top_k_percent_pixels=None), "top_k_percent_pixels=None is the share"),
        (dict(loss_weight="a"), "loss_weight='a' must be a number of at least 0"),
        (dict(loss_weight=float("nan")), "loss_weight=nan must be a number"),
        (dict(loss_weight=True), "loss_weight=True must be a number"),
        (dict(loss_weight=None), "loss_weight=None must be a number"),
        (dict(loss_name=3), "loss_name=3 must be a string"),
        (dict(class_weight=3), "class_weight=3 must be a list of numbers"),
        (dict(class_weight=[]), "class_weight=.. must be a list of numbers"),
        (dict(class_weight=["a", 1.0]), "must be a list of numbers"),
        (dict(class_weight=[[1.0], [2.0]]), "must be a list of numbers"),
        (dict(class_weight=[1.0, -2.0]), "at least 0 and finite"),
        (dict(class_weight=[1.0, float("nan")]), "at least 0 and finite"),
        (dict(class_weight="nofile.npy"), "class_weight='nofile.npy' can't be read"),
        (dict(class_weight="nofile.txt"), "class_weight='nofile.txt' can't be read"),
        (
            dict(top_k_percent_pixels=0.5, hard_example_mining_step=0.5),
            "hard_example_mining_step=0.5 must be a number of iterations",
        ),
        (dict(hard_example_mining_step=100), "leads to nothing with top_k_percent_pixels=1"),
    ],
)
def test_an_impossible_argument_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DeepLabCrossEntropyLoss(**arguments)


def test_class_weights_of_another_number_of_classes_are_refused():
    with pytest.raises(ConfigError, match="class_weight has 2 values, but there are 3 classes"):
        loss(*small(), class_weight=[1.0, 2.0])


def test_a_single_channel_is_refused_with_the_loss_to_use():
    with pytest.raises(ConfigError, match="use_sigmoid=True"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4).long())


def test_a_file_that_holds_no_class_weights_is_named(tmp_path):
    path = tmp_path / "weights.npy"
    path.write_bytes(b"no array")
    with pytest.raises(ConfigError, match=r"weights.npy' can't be read"):
        DeepLabCrossEntropyLoss(class_weight=str(path))
    np.save(path, np.float64(2.0))
    with pytest.raises(ConfigError, match=r"weights.npy' must be a list of numbers"):
        DeepLabCrossEntropyLoss(class_weight=str(path))


def test_class_weights_come_from_a_file_as_in_mmsegmentation(tmp_path):
    np.save(tmp_path / "weights.npy", np.array([1.0, 2.0, 3.0]))
    built = MODELS.build(
        dict(
            type="mmseg_deeplab_ext.DeepLabCrossEntropyLoss",
            class_weight=str(tmp_path / "weights.npy"),
            loss_name="loss_main",
        )
    )
    assert built.loss_name == "loss_main"
    assert built(*small()) == loss(*small(), class_weight=[1.0, 2.0, 3.0])
