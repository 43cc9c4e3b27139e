"""Batch norm in training: normalised by the batch, moving statistics updated as in TensorFlow."""

import numpy as np
import pytest
import torch

from mmseg_deeplab_ext.backbones import ResNetV1Beta
from mmseg_deeplab_ext.specs.network import rules_of_model
from tests.support.deterministic import make_image
from tests.support.golden_families import to_unit_range
from tests.support.golden_networks import cached_value
from tests.support.training_goldens import golden

GOLDEN = golden("aux_bn_train_r50b")
SEEDS = (11, 12)


@pytest.fixture(scope="module")
def trained():
    """The network after a forward pass in training mode, and its outputs."""
    backbone = ResNetV1Beta(50, output_stride=16, multi_grid=(1, 2, 4))
    values = {
        rule.torch_name[len("backbone.") :]: torch.from_numpy(
            rule.to_torch(cached_value(rule.tf_name, rule.shape)).copy()
        )
        for rule in rules_of_model(backbone)
    }
    backbone.load_state_dict(values, strict=False)
    backbone.train()
    found = {}
    backbone.stem[0].register_forward_hook(lambda module, args, out: found.update(conv1_1=out))
    images = np.stack([to_unit_range(make_image(65, 97, seed)) for seed in SEEDS])
    with torch.no_grad():
        found["backbone"] = backbone(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))[-1]
    return backbone, found


@pytest.mark.parametrize("name", ["conv1_1", "backbone"])
def test_outputs_are_normalised_with_the_statistics_of_the_batch(trained, name):
    ours = trained[1][name].permute(0, 2, 3, 1).numpy()
    # Both are float32, and normalising by a batch of two images amplifies their rounding.
    assert GOLDEN.error(name, ours) <= 3e-5


def test_every_moving_mean_and_variance_takes_a_step_of_tensorflows_size(trained):
    backbone, _ = trained
    rules = {rule.tf_name: rule for rule in rules_of_model(backbone)}
    names = GOLDEN.names("after/")
    assert set(names) == {name for name in rules if "/moving_" in name}
    state = backbone.state_dict()
    for name in names:
        after = state[rules[name].torch_name[len("backbone.") :]].numpy()
        assert GOLDEN.error(f"after/{name}", after) <= 1e-5, name
