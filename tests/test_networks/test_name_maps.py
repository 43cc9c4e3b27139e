"""The name maps list exactly the variables of the official graphs."""

import re

import pytest

from tests.data.make_resnet_goldens import variables_digest
from tests.support.golden_files import MANIFEST
from tests.support.golden_networks import GoldenNetwork, rules


def options_of(tag):
    variant, form = tag.split("__")
    options = dict(model_variant=variant, output_stride=None, mode="classify", num_classes=1001)
    if form.startswith("v3plus"):
        options.update(
            mode="network", output_stride=16, num_classes=21, atrous_rates=(6, 12, 18),
            decoder_output_stride=(4,),
        )  # fmt: skip
        assert re.fullmatch(r"v3plus_os16_rates6-12-18_dec4_nc21", form)
    return options


@pytest.mark.parametrize("tag", sorted(MANIFEST["variables"]))
def test_names_and_shapes_are_those_of_the_official_inventory(tag):
    options = options_of(tag)
    state = GoldenNetwork(options).state_dict()
    pairs = [(r.tf_name, r.tf_shape(state[r.torch_name].shape)) for r in rules(options)]
    assert len(pairs) == MANIFEST["variables"][tag]["count"]
    assert variables_digest(pairs) == MANIFEST["variables"][tag]["digest"]
