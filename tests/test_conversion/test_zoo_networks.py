"""Every entry of the model zoo: its variables, with all that training adds, give its network."""

import functools
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_deeplab_ext.checkpoints.zoo_table import ZOO
from mmseg_deeplab_ext.conversion.config_file import network_config
from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.network import network_of_model
from tests.support.golden_networks import without_random_weights
from tests.support.zoo_entries import ENTRIES, X65

INVENTORY = Path(__file__).parents[3] / "shared" / "inventory"
needs_inventory = pytest.mark.skipif(
    not INVENTORY.exists(), reason="the official inventories are not here"
)

SLOTS = ("Momentum", "RMSProp", "RMSProp_1", "ExponentialMovingAverage")
STATISTICS = ("moving_mean", "moving_variance")


@functools.lru_cache(maxsize=None)
def variables_of(inventory):
    """Name and shape of all variables of the official graph."""
    listed = json.loads((INVENTORY / f"{inventory}.json").read_text())["variables"]
    return {variable["name"]: tuple(variable["shape"]) for variable in listed}


def slots_of(shapes):
    """What optimizers add to the weights that they train."""
    trained = [name for name in shapes if not name.endswith(STATISTICS)]
    return {f"{name}/{slot}": shapes[name] for name in trained for slot in SLOTS}


def ranges_of(shapes):
    """What quantisation-aware training adds to a MobileNetV2 (TF_DEEPLAB_FAMILY.md, 7)."""
    layers = [name.rpartition("/")[0] for name in shapes if name.endswith("weights")]
    averaged = [f"{layer}/act_quant" for layer in layers]
    averaged += [
        f"MobilenetV2/expanded_conv_{number}/post_activation_bypass_quant"
        for number in (2, 4, 5, 7, 8, 9, 11, 12, 14, 15)
    ]
    averaged.append("concat_projection_dropout/dropout/Mul/activation_Mul_quant")
    names = [f"{layer}/weights_quant/{end}" for layer in layers for end in ("min", "max")]
    for scope in averaged:
        for end in ("min", "max"):
            kept = f"{scope}/{scope}/{end}"
            names += [f"{scope}/{end}", f"{kept}/biased", f"{kept}/local_step"]
    return dict.fromkeys(names, ())


def test_every_entry_is_here():
    assert list(ENTRIES) == [entry.name for entry in ZOO]


@needs_inventory
@pytest.mark.parametrize("name", ENTRIES)
def test_the_variables_of_an_entry_and_all_that_training_adds_are_recognised(name):
    entry = ENTRIES[name]
    shapes = variables_of(entry.inventory)
    slots = slots_of(shapes)
    ranges = ranges_of(shapes) if name.endswith("_8bit") else {}
    plan = make_plan({**shapes, **slots, **ranges, "global_step": ()})
    assert plan.network.backbone.model_variant == entry.variant
    assert getattr(plan.network.backbone, "widen_factor", 1.0) == entry.multiplier
    assert str(plan.network.head or "") == entry.head
    assert {name for _, name in plan.sources} <= set(shapes)
    reasons = Counter(plan.ignored.values())
    quantised = [count for why, count in reasons.items() if why.startswith("range of 8-bit")]
    assert quantised == [506] * bool(ranges)
    assert reasons["training step"] == 1
    assert len(plan.sources) + len(plan.ignored) == len({*shapes, *slots, *ranges}) + 1


@needs_inventory
@pytest.mark.parametrize("name", [n for n, entry in ENTRIES.items() if entry.head])
def test_the_written_config_builds_the_network_of_an_entry(name):
    entry = ENTRIES[name]
    network = make_plan(variables_of(entry.inventory)).network
    cfg = network_config(network)
    pixels = cfg.model.pop("data_preprocessor")
    with torch.device("meta"), without_random_weights():
        assert network_of_model(MODELS.build(cfg.model)) == network
    assert cfg.model.decode_head.num_classes == entry.classes
    data = {21: "voc", 19: "cityscapes", 151: "ade"}[entry.classes]
    assert data in cfg.data_root.lower()
    assert pixels.mean == list(network.backbone.input.mean)


@needs_inventory
@pytest.mark.parametrize("name", [n for n, entry in ENTRIES.items() if not entry.head])
def test_no_config_is_written_for_a_classifier(name):
    network = make_plan(variables_of(ENTRIES[name].inventory)).network
    assert network.imagenet_classes == 1001
    with pytest.raises(CheckpointMismatchError, match="no complete segmentation network"):
        network_config(network)


HEADS = {
    "none": lambda name: False,
    "another number of classes": lambda name: not name.startswith("logits/"),
    "no decoder": lambda name: not name.startswith("decoder/"),
    "a part": lambda name: name.startswith(("aspp0/", "decoder/")),
}


@needs_inventory
@pytest.mark.parametrize("kept", HEADS.values(), ids=HEADS)
def test_the_backbone_of_the_coco_checkpoint_is_found_whatever_head_it_has(kept):
    shapes = variables_of(X65.inventory)
    own = {name: shape for name, shape in shapes.items() if name.startswith("xception_65/")}
    head = {name: shape for name, shape in shapes.items() if name not in own and kept(name)}
    if kept is HEADS["another number of classes"]:
        head.update({"logits/semantic/weights": (1, 1, 256, 91), "logits/semantic/biases": (91,)})
    plan = make_plan({**own, **head, **slots_of(own)}, head_fault="not wanted")
    assert {name for _, name in plan.sources} == set(own)
    assert plan.network.backbone.model_variant == "xception_65"
