"""TensorFlow itself reads what is written here, and writes the same files."""

import numpy as np
import pytest

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import CheckpointUnsupportedError
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.data.make_goldens import variables_digest
from tests.support import tensors
from tests.support.deterministic import value
from tests.support.golden_files import MANIFEST
from tests.support.tensorflow_peer import (
    PYTHON,
    describe,
    freeze_with_tensorflow,
    read_with_tensorflow,
    write_with_tensorflow,
)
from tests.support.tf_files import MNV2_VOC, variables
from tests.test_checkpoints.test_writer import BY_TENSORFLOW, content

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not PYTHON, reason="DEEPLAB_TF_PYTHON names no Python with TensorFlow"),
]

DEEPLAB_V3_PLUS = NetworkSpec(
    ResNetV1BetaSpec(50),
    HeadSpec.of(
        in_channels=2048,
        channels=256,
        num_classes=21,
        num_rates=3,
        aspp_channels=256,
        aspp_separable=True,
        image_pooling=True,
        c1_in_channels=(256,),
        c1_channels=(48,),
        decoder_separable=True,
    ),
)
INVENTORY = "resnet_v1_50_beta__v3plus_os16_rates6-12-18_dec4_nc21"


def variables_of(network):
    """Name and shape of a network's variables in TensorFlow."""
    return {rule.tf_name: rule.shape for rule in network.rules()}


def descriptions(values):
    return {name: describe(array) for name, array in values.items()}


def test_tensorflow_reads_every_kind_of_tensor_bit_for_bit(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt", tensors.every_kind())
    found = read_with_tensorflow(tmp_path / "model.ckpt")
    assert found == descriptions(tensors.every_kind())


def test_tensorflow_reads_all_variables_of_a_network_bit_for_bit(tmp_path):
    shapes = variables_of(DEEPLAB_V3_PLUS)
    assert variables_digest(shapes.items()) == MANIFEST["variables"][INVENTORY]["digest"]
    values = {name: value(name, shape) for name, shape in shapes.items()}
    values["global_step"] = np.array(30000, np.int64)
    write_checkpoint(tmp_path / "model.ckpt", values)
    assert read_with_tensorflow(tmp_path / "model.ckpt") == descriptions(values)


@pytest.mark.parametrize("function", ["every_kind", "many_names"])
def test_tensorflow_writes_the_same_files(tmp_path, function):
    write_checkpoint(tmp_path / "ours", getattr(tensors, function)())
    write_with_tensorflow(tmp_path / "theirs", function)
    assert content(tmp_path / "ours") == content(tmp_path / "theirs")
    if function == "every_kind":
        assert content(tmp_path / "theirs") == content(BY_TENSORFLOW)


@pytest.mark.parametrize("kind", ["reference", "resource"])
def test_a_graph_that_tensorflow_froze_gives_its_variables_bit_for_bit(tmp_path, kind):
    values = variables(MNV2_VOC)
    freeze_with_tensorflow(values, tmp_path / "frozen.pb", kind)
    with open_checkpoint(tmp_path / "frozen.pb") as checkpoint:
        assert descriptions(checkpoint) == descriptions(values)
        plan = make_plan({name: checkpoint.shape(name) for name in checkpoint})
    assert plan.network == MNV2_VOC
    assert not plan.ignored


def test_a_graph_whose_batch_norms_tensorflow_folded_is_refused_with_the_reason(tmp_path):
    freeze_with_tensorflow(variables(MNV2_VOC), tmp_path / "folded.pb", "folded")
    with open_checkpoint(tmp_path / "folded.pb") as checkpoint:
        shapes = {name: checkpoint.shape(name) for name in checkpoint}
    with pytest.raises(
        CheckpointUnsupportedError, match="folded into .* kernels and Mobilenet.*_bn_offset"
    ):
        make_plan(shapes)
