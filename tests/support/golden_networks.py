"""Build our network for a golden file's options and name its outputs as TensorFlow does."""

import functools
import re

import numpy as np
import torch
from torch import nn

from mmseg_deeplab_ext.arch import RESNET_V1
from mmseg_deeplab_ext.backbones import ResNetV1, ResNetV1Beta
from mmseg_deeplab_ext.checkpoints.maps.deeplab_head import deeplab_head_rules
from mmseg_deeplab_ext.checkpoints.maps.resnet_v1 import resnet_v1_rules
from mmseg_deeplab_ext.checkpoints.name_map import Rule
from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from tests.support.deterministic import value

MEAN_RGB = np.array([123.15, 115.90, 103.06], np.float32)
TAP_INDEX = {4: 0, 8: 1, 16: 2}
cached_value = functools.lru_cache(maxsize=None)(value)


def variant(options):
    """Depth and stem of the model variant."""
    match = re.fullmatch(r"resnet_v1_(\d+)(_beta)?", options["model_variant"])
    return int(match.group(1)), match.group(2) is not None


def normalised(image, options):
    """[1, 3, H, W] float32 input: padded with the official value, normalised in float32."""
    depth, beta = variant(options)
    crop = options["crop_size"] or image.shape[:2]
    padding = np.full(3, 127.5, np.float32) if beta or depth == 18 else MEAN_RGB
    padded = np.broadcast_to(padding, (*crop, 3)).astype(np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    scaled = padded * np.float32(2 / 255) - np.float32(1) if beta else padded - MEAN_RGB
    return torch.from_numpy(scaled.transpose(2, 0, 1)[None].copy())


def build_backbone(options):
    depth, beta = variant(options)
    return (ResNetV1Beta if beta else ResNetV1)(
        depth, output_stride=options["output_stride"] or 32, multi_grid=options.get("multi_grid")
    )


def build_head(options):
    depth, _ = variant(options)
    arch = RESNET_V1[depth]
    strides = options.get("decoder_output_stride") or []
    taps = [TAP_INDEX[stride] for stride in strides]
    widths = [block.width * arch.expansion for block in arch.blocks]
    aspp_channels = options.get("aspp_convs_filters", 256)
    pool_crop = options.get("image_pooling_crop_size")
    image_pooling = options.get("add_image_level_feature", True)
    if pool_crop:
        image_pooling = dict(crop_size=pool_crop, output_stride=options["output_stride"])
    return DeepLabV3PlusHead(
        widths[-1],
        options.get("decoder_filters", 256) if strides else aspp_channels,
        num_classes=options["num_classes"],
        dilations=(1, *(options["atrous_rates"] or ())),
        aspp_channels=aspp_channels,
        aspp_separable=options.get("aspp_with_separable_conv", True),
        image_pooling=image_pooling,
        c1_in_index=taps,
        c1_in_channels=[widths[tap] for tap in taps] or 0,
        decoder_separable=options.get("decoder_use_separable_conv", True),
    )


def rules(options):
    """The name map of the network."""
    depth, beta = variant(options)
    result = list(resnet_v1_rules(depth, beta=beta))
    if options["mode"] == "classify":
        scope = f"resnet_v1_{depth}/logits"
        result.append(Rule(f"{scope}/weights", "classifier.weight", "conv"))
        result.append(Rule(f"{scope}/biases", "classifier.bias"))
    elif options["mode"] == "network":
        result += deeplab_head_rules(
            num_rates=len(options["atrous_rates"] or ()),
            aspp_separable=options.get("aspp_with_separable_conv", True),
            image_pooling=options.get("add_image_level_feature", True),
            num_decoder_stages=len(options.get("decoder_output_stride") or ()),
            decoder_separable=options.get("decoder_use_separable_conv", True),
        )
    return result


def _first(outputs):
    return outputs[0]


class GoldenNetwork(nn.Module):
    """Backbone with the head or classifier that the options ask for, with deterministic weights."""

    def __init__(self, options):
        super().__init__()
        self.options = options
        self.backbone = build_backbone(options)
        if options["mode"] == "network":
            self.decode_head = build_head(options)
        elif options["mode"] == "classify":
            width = self.backbone.arch.blocks[-1].width * self.backbone.arch.expansion
            self.classifier = nn.Conv2d(width, options["num_classes"], 1)
        self._fill()
        self.eval()

    def _fill(self):
        state = {k: v for k, v in self.state_dict().items() if "num_batches_tracked" not in k}
        filled = {}
        for rule in rules(self.options):
            tf_shape = rule.tf_shape(state[rule.torch_name].shape)
            filled[rule.torch_name] = torch.from_numpy(
                np.ascontiguousarray(rule.to_torch(cached_value(rule.tf_name, tf_shape)))
            )
        assert filled.keys() == state.keys()
        self.load_state_dict(filled, strict=False)

    @torch.no_grad()
    def outputs(self, x):
        """Every output by the golden files' array names, NCHW tensors."""
        depth, _ = variant(self.options)
        scope = f"ep/resnet_v1_{depth}"
        kind = "bottleneck_v1" if depth > 18 else "lite_bottleneck_v1"
        found = {}

        def keep(name, pick=lambda out: out):
            return lambda module, args, out: found.__setitem__(name, pick(out))

        handles = [self.backbone.stem.register_forward_hook(keep(f"{scope}/conv1_3"))]
        for b, name in enumerate(self.backbone.layer_names, start=1):
            units = getattr(self.backbone, name)
            handles.append(units[-1].register_forward_hook(keep(f"{scope}/block{b}", _first)))
            for u, unit in enumerate(units, start=1):
                conv1 = f"{scope}/block{b}/unit_{u}/{kind}/conv1"
                handles.append(unit.bn1.register_forward_hook(keep(conv1, torch.relu)))
        if self.options["mode"] == "network":
            handles.append(self.decode_head.aspp.register_forward_hook(keep("aspp_out")))
            handles += [
                s.register_forward_hook(keep("decoder_out")) for s in self.decode_head.decoder
            ]
        features = self.backbone(x)
        for b, (unit, feature) in enumerate(zip(self.backbone.arch.tap_units, features), start=1):
            tap = f"{scope}/block{b}/unit_{unit + 1}/{kind}/conv{self.backbone.arch.num_convs}"
            found[tap] = feature
        found["backbone"] = features[-1]
        if self.options["mode"] == "classify":
            found["logits"] = self.classifier(features[-1].mean(dim=(2, 3), keepdim=True))
        elif self.options["mode"] == "network":
            found["logits"] = found["logits_raw"] = self.decode_head(features)
        for handle in handles:
            handle.remove()
        return found
