"""TensorFlow checkpoints of whole networks, with the deterministic values, for tests."""

import functools
import io
import tarfile

from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.specs import MobileNetV2Spec, ResNetV1BetaSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.deterministic import value

cached_value = functools.lru_cache(maxsize=None)(value)


def head(
    in_channels, *, channels=256, num_classes=21, num_rates=0, taps=(), projected=48, **others
):
    """A head of the official width; depthwise separable, with image pooling."""
    return HeadSpec.of(
        in_channels=in_channels,
        channels=channels,
        num_classes=num_classes,
        num_rates=num_rates,
        c1_in_channels=tuple(taps),
        c1_channels=(projected,) * len(taps),
        **others,
    )


def head_with_logits_decoder(in_channels, *, taps, num_classes=19, **others):
    """The head of the published MobileNetV3 models."""
    kind = dict(decoder_sum_merge=True, decoder_logits=True, aspp_projection=False)
    return head(
        in_channels,
        channels=num_classes,
        aspp_channels=128,
        aspp_squeeze_excite="qsigmoid",
        num_classes=num_classes,
        taps=taps,
        projected=num_classes,
        **{**kind, **others},
    )


MNV2_VOC = NetworkSpec(MobileNetV2Spec(0.5), head(160))
"""The smallest network of the zoo: 714,325 parameters."""
MNV2_ADE = NetworkSpec(MobileNetV2Spec(1.0), head(320, num_classes=151, taps=[144]))
R18_BETA = NetworkSpec(ResNetV1BetaSpec(18), head(512, num_rates=3, taps=[64]))
R18_BETA_IMAGENET = NetworkSpec(ResNetV1BetaSpec(18), None, imagenet_classes=1001)


def variables(network, *, seed=0):
    """{TensorFlow name: value} of everything that a segmentor takes from the network."""
    names = {rule.tf_name: rule.shape for rule in network.rules()}
    if network.imagenet_classes:
        scope, classes = network.backbone.scope, network.imagenet_classes
        names[f"{scope}/logits/weights"] = (1, 1, network.backbone.channels, classes)
        names[f"{scope}/logits/biases"] = (classes,)
    return {name: cached_value(name, shape, seed) for name, shape in names.items()}


def write_network(prefix, network, **more):
    """Write a network's variables, and further ones (``more``); returns the variables."""
    tensors = variables(network)
    write_checkpoint(prefix, {**tensors, **more})
    return tensors


def packed(folder, *, compresslevel=1):
    """A folder as a ``.tar.gz``, under its own name, as the model zoo has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=compresslevel) as tar:
        tar.add(str(folder), arcname=folder.name)
    return buffer.getvalue()
