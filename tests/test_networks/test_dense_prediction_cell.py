"""The dense prediction cell in a head; its equality to TensorFlow's is in test_goldens.py."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.conversion.config_file import network_config
from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.inference.folding import folded
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED, cell_branches
from mmseg_deeplab_ext.specs.network import NetworkSpec, detect_network
from tests.support.tf_files import R18_BETA, head, variables

NAME = "branch5_top1_cityscapes"
WINDOW = dict(crop_size=(65, 97), output_stride=16)
POOLING = [
    {"op": "conv", "kernel": 1, "input": -1},
    {"op": "pyramid_pooling", "grid_size": [2, 3], "input": 0},
]


def build(cell=NAME, **arguments):
    torch.manual_seed(0)
    small = dict(in_channels=32, channels=8, num_classes=3, dense_prediction_cell=cell)
    return DeepLabV3PlusHead(**{**small, **arguments})


def feature(batch=2):
    return (torch.randn(batch, 32, 5, 7, generator=torch.Generator().manual_seed(0)),)


def forward(network, inputs):
    return network((None, None, None, *inputs))


@pytest.mark.parametrize(("output_stride", "factor"), [(16, 1), (8, 2), (4, 4)])
def test_rates_are_multiplied_by_16_over_the_output_stride(output_stride, factor):
    branches = build(output_stride=output_stride).cell.branches
    convs = [branch.depthwise_conv.conv for branch in branches]
    rates = [(1, 6), (18, 15), (6, 3), (1, 1), (6, 21)]
    assert [conv.dilation for conv in convs] == [(factor * h, factor * w) for h, w in rates]
    assert [conv.padding for conv in convs] == [conv.dilation for conv in convs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(output_stride=32),
            "output_stride of a head with a dense_prediction_cell=32 .* 4, 8, 16",
        ),
        (dict(output_stride=8, cell=None), "output_stride=8 .* dilations has the rates"),
        (dict(dilations=(1, 12, 24, 36)), "rates of its own.*leave dilations out"),
        (dict(aspp_squeeze_excite="sigmoid"), "takes the place of the ASPP: leave out"),
        (dict(aspp_separable=False), "takes the place of the ASPP: leave out"),
        (dict(image_pooling=False), "takes the place of the ASPP.*image_pooling=False"),
        (dict(image_pooling={**WINDOW, "stride": (4, 5)}), r"stride=\(4, 5\) must be \(1, 1\)"),
        (dict(cell=POOLING), r"grid_size=\[2, 3\] pools parts of the crop: name it in image_pool"),
        (dict(cell=[{"op": "conv"}]), "branch 0: input=None must be -1"),
    ],
)
def test_what_contradicts_a_cell_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(**arguments)


def test_every_branch_takes_the_feature_or_the_output_of_the_branch_it_names():
    cell = build().eval().cell
    (x,) = feature()
    outputs = []
    for branch, source in zip(cell.branches, (-1, 0, 1, 0, 0)):
        outputs.append(branch(x if source < 0 else outputs[source]))
    assert torch.equal(cell(x), cell.projection(torch.cat(outputs, dim=1)))


def test_dropout_comes_before_the_projection():
    cell = build(dropout_ratio=1.0).train().cell
    seen = []
    cell.projection.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    cell(*feature())
    assert seen[0].shape == (2, 40, 5, 7)
    assert not seen[0].any()


def test_pyramid_pooling_means_windows_of_a_part_of_the_crop_at_every_place():
    network = build(POOLING, image_pooling=WINDOW).eval().cell
    (x,) = feature()
    # scale_dimension(65, 1 / 32) = 3 and scale_dimension(97, 1 / 48) = 3 cells, at stride 1.
    taken = network.branches[0](x)
    pooled = torch.stack(
        [taken[..., i : i + 3, j : j + 3].mean((2, 3)) for i in range(3) for j in range(5)], dim=-1
    ).unflatten(-1, (3, 5))
    conv = network.branches[1]
    out = conv.activate(conv.bn(conv.conv(pooled))).detach().numpy()
    rows, columns = np.linspace(0, 2, 5), np.linspace(0, 4, 7)
    by_row = np.apply_along_axis(lambda v: np.interp(rows, range(3), v), 2, out)
    expected = np.apply_along_axis(lambda v: np.interp(columns, range(5), v), 3, by_row)
    np.testing.assert_allclose(conv(taken).detach().numpy(), expected, atol=1e-6)


def test_batch_norms_behind_pooled_windows_fold_into_their_convolutions():
    cell = build(POOLING, image_pooling=WINDOW).eval().cell
    for norm in (module for module in cell.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean)
    (x,) = feature()
    torch.testing.assert_close(folded(cell, lambda module: module(x))(x), cell(x))


def test_pooled_windows_follow_the_scale_of_the_image():
    cell = build(POOLING, image_pooling=WINDOW).eval().cell
    x = torch.randn(1, 32, 3, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ConfigError, match=r"window of \(3, 3\) cells.*only \(2, 3\)"):
        cell(x[..., :2, :3])
    assert cell(x[..., :2, :3], image_scale=0.5).shape == (1, 8, 2, 3)


def test_a_training_step_moves_every_weight_and_every_statistic():
    network = build(cell=[*POOLING, {"op": "conv", "kernel": 3, "rate": [1, 2], "input": 1}],
                    image_pooling=WINDOW).train()  # fmt: skip
    before = copy.deepcopy(network.state_dict())
    logits = forward(network, feature())
    nn.functional.cross_entropy(logits, torch.ones(2, 5, 7).long()).backward()
    torch.optim.SGD(network.parameters(), lr=1.0).step()
    for name, value in network.state_dict().items():
        assert not torch.equal(value, before[name]), name
    norm, momentum = network.cell.branches[0].bn, 0.0003
    with torch.no_grad():
        out = nn.functional.conv2d(*feature(), before["cell.branches.0.conv.weight"])
    expected = 1 - momentum + momentum * out.var(dim=(0, 2, 3), unbiased=True)
    torch.testing.assert_close(norm.running_var, expected)


def network_of(cell):
    return NetworkSpec(R18_BETA.backbone, head(512, taps=[64], dense_prediction_cell=cell))


def found(network):
    return detect_network({name: value.shape for name, value in variables(network).items()})


def test_a_written_config_names_the_cell_and_the_output_stride():
    cfg = network_config(found(network_of(PUBLISHED[NAME])), output_stride=8)
    written = cfg.model.decode_head
    assert (written.dense_prediction_cell, written.output_stride) == (NAME, 8)
    assert "dilations" not in written
    with pytest.raises(ConfigError, match=r"dilations=\(1, 6\) was given, but a dense prediction"):
        network_config(network_of(PUBLISHED[NAME]), dilations=(1, 6))


def test_a_config_of_an_unknown_cell_is_left_to_its_owner():
    with pytest.raises(CheckpointMismatchError, match="2 branches that is not the published one"):
        network_config(found(network_of(cell_branches(POOLING))))
