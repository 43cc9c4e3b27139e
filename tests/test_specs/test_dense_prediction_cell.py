"""Cells in Google's JSON form, and what variables tell of them; needs no PyTorch."""

import json

import pytest

from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.dense_prediction_cell import (
    PUBLISHED,
    CellBranch,
    DensePredictionCell,
    cell_branches,
)
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.tf_files import R18_BETA, head, variables

NAME = "branch5_top1_cityscapes"
OFFICIAL = """[
    {"kernel": 3, "rate": [1, 6], "op": "conv", "input": -1},
    {"kernel": 3, "rate": [18, 15], "op": "conv", "input": 0},
    {"kernel": 3, "rate": [6, 3], "op": "conv", "input": 1},
    {"kernel": 3, "rate": [1, 1], "op": "conv", "input": 0},
    {"kernel": 3, "rate": [6, 21], "op": "conv", "input": 0}
]"""
OTHER = [
    {"op": "conv", "kernel": [1, 1], "input": -1},
    {"op": "pyramid_pooling", "grid_size": [2, 1], "target_size": [3, 3], "input": -1},
    {"op": "conv", "kernel": (3, 3), "rate": [2, 4], "input": 1},
]


def test_the_published_cell_is_that_of_its_name_and_of_its_file(tmp_path):
    path = tmp_path / "cell.json"
    path.write_text(OFFICIAL)
    assert cell_branches(NAME) == cell_branches(str(path)) == cell_branches(json.loads(OFFICIAL))


def test_every_kind_of_branch_is_read_and_written_in_the_same_form():
    branches = cell_branches(OTHER)
    assert branches == (
        CellBranch("conv"),
        CellBranch("pyramid_pooling", grid_size=(2, 1)),
        CellBranch("conv", input=1, kernel=3, rate=(2, 4)),
    )
    assert cell_branches([branch.as_json() for branch in branches]) == branches


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("branch5", r"='branch5' must be a list .*, the path .*, or 'branch5_top1_cityscapes'"),
        ([], r"=\[\] must be a list of branches"),
        ({"op": "conv"}, "must be a list of branches"),
        ("absent.json", "'absent.json' is no readable JSON file: .*No such file"),
        (["conv"], "branch 0: 'conv' must be a dict with op and input"),
        ([{"op": "max", "input": -1}], "op='max' must be conv or pyramid_pooling"),
        ([{"op": [], "input": -1}], r"op=\[\] must be conv or pyramid_pooling"),
        ([{"op": "conv", "input": -1, "kernel": 5, "rate": [1, 1]}], "kernel=5 must be 1 or 3"),
        ([{"op": "conv", "input": -1, "kernel": [1, 3]}], r"kernel=\[1, 3\] must be 1 or 3"),
        ([{"op": "conv", "input": -1}], "kernel=None must be 2 whole numbers"),
        ([{"op": "conv", "input": -1, "kernel": 3, "rate": 6}], "rate=6 must be 2 whole numbers"),
        ([{"op": "conv", "input": 0, "kernel": 1}], r"input=0 must be -1 \(the feature map\)$"),
        ([*OTHER, {"op": "conv", "input": 3, "kernel": 1}], "branch 3: input=3 .*, 0 to 2"),
        ([{"op": "conv", "input": -2, "kernel": 1}], "input=-2 must be -1"),
        ([{"op": "conv", "input": -1, "kernel": 1, "grid": 2}], "unknown grid; conv has input, k"),
        ([{"op": "pyramid_pooling", "input": -1}], "grid_size=None must be 2 whole numbers"),
    ],
)
def test_what_is_no_cell_is_refused_with_what_is_allowed(value, message):
    with pytest.raises(ConfigError, match=message):
        cell_branches(value)


@pytest.mark.parametrize("content", ["[{", "\xff", "[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path, content):
    path = tmp_path / "cell.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="is no readable JSON file"):
        cell_branches(str(path))


def test_a_cell_has_the_official_names_and_widths():
    kernels = {
        rule.tf_name: rule.shape
        for rule in DensePredictionCell(512, 8, cell_branches(OTHER)).rules("decode_head.")
        if rule.tf_name.endswith("weights")
    }
    assert kernels == {
        "meta_architecture/branch0/weights": (1, 1, 512, 8),
        "meta_architecture/branch1/weights": (1, 1, 512, 8),
        "meta_architecture/branch2_depthwise/depthwise_weights": (3, 3, 8, 1),
        "meta_architecture/branch2_pointwise/weights": (1, 1, 8, 8),
        "meta_architecture/concat_projection/weights": (1, 1, 24, 8),
    }


def test_of_another_cell_the_variables_tell_the_kernels_and_all_of_them_are_used():
    cell = cell_branches(OTHER)
    network = NetworkSpec(R18_BETA.backbone, head(512, taps=[64], dense_prediction_cell=cell))
    shapes = {name: value.shape for name, value in variables(network).items()}
    plan = make_plan(shapes)
    assert len(plan.sources) == len(shapes)
    assert [rule.torch_name for rule in plan.network.rules()] == [
        rule.torch_name for rule in network.rules()
    ]
    assert not plan.network.head.context.known
    assert "assumed" not in plan.report()


def test_the_rates_and_inputs_of_the_published_cell_are_said_to_be_assumed():
    cell = PUBLISHED[NAME]
    network = NetworkSpec(R18_BETA.backbone, head(512, dense_prediction_cell=cell))
    shapes = {name: value.shape for name, value in variables(network).items()}
    assert f"assumed: rates and inputs of the published cell '{NAME}'" in make_plan(shapes).report()


def test_a_published_cell_is_named_in_a_config_and_another_one_listed():
    for cell, said in ((PUBLISHED[NAME], NAME), (cell_branches(OTHER), "listed")):
        options = head(512, channels=8, dense_prediction_cell=cell).options()
        if said == "listed":
            said = [branch.as_json() for branch in cell]
        assert options == dict(
            in_channels=512,
            channels=8,
            num_classes=21,
            aspp_channels=8,
            dense_prediction_cell=said,
            c1_in_channels=0,
        )
