"""The name maps list exactly the variables of the official graphs."""

import re

import pytest

from tests.data.make_goldens import variables_digest
from tests.support.golden_files import MANIFEST
from tests.support.golden_networks import GoldenNetwork

# End of an inventory's name -> what the golden files' options say of such a network
FORMS = {
    r"imagenet_classification_nc1001": dict(mode="classify"),
    r"v3plus_os16_rates6-12-18_dec4_nc(19|21|151)": dict(
        atrous_rates=(6, 12, 18), decoder_output_stride=(4,)
    ),
    r"dpc_os16_dec4_nc19": dict(
        decoder_output_stride=(4,),
        dense_prediction_cell_json="dense_prediction_cell_branch5_top1_cityscapes.json",
    ),
    r"(dm05_)?zoo_noaspp_nodec_nc(19|21)": dict(),
    r"noaspp_dec4_nc151_ade20k": dict(decoder_output_stride=(4,)),
    r"mobilenet_edgetpu__zoo_nc19": dict(),
    r"mobilenet_v3_(large|small)_seg__zoo_nc19": dict(
        aspp_convs_filters=128,
        aspp_with_squeeze_and_excitation=True,
        image_se_uses_qsigmoid=True,
        aspp_with_concat_projection=False,
        decoder_output_stride=(8,),
        decoder_filters=19,
        decoder_use_sum_merge=True,
        decoder_output_is_logits=True,
    ),
    r"slim_dm075_zoo_nc19": dict(depth_multiplier=0.75, aspp_convs_filters=128),
}


def options_of(tag):
    variant, form = tag.split("__")
    options = dict(
        model_variant=variant, mode="network", output_stride=16, atrous_rates=None,
        depth_multiplier=0.5 if form.startswith("dm05") else 1.0,
        num_classes=int(re.search(r"nc(\d+)", form).group(1)),
    )  # fmt: skip
    (known,) = (FORMS[end] for end in FORMS if re.fullmatch(rf"(\w+__)?{end}", tag))
    return {**options, **known}


@pytest.mark.parametrize("tag", sorted(MANIFEST["variables"]))
def test_names_and_shapes_are_those_of_the_official_inventory(tag):
    options = options_of(tag)
    pairs = [(rule.tf_name, rule.shape) for rule in GoldenNetwork(options).rules()]
    assert len(pairs) == MANIFEST["variables"][tag]["count"]
    assert variables_digest(pairs) == MANIFEST["variables"][tag]["digest"]
