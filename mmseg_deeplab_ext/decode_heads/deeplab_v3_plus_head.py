"""TensorFlow DeepLab's head: ASPP and decoder (DeepLabv3+), or ASPP alone (DeepLabv3)."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from mmengine.model import ModuleList
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_deeplab_ext.decode_heads.aspp import ASPP, checked_dilations
from mmseg_deeplab_ext.decode_heads.decoder import DecoderStage, decoder_stages
from mmseg_deeplab_ext.decode_heads.dense_prediction_cell import CellModule, checked_cell
from mmseg_deeplab_ext.decode_heads.feature_maps import pick
from mmseg_deeplab_ext.decode_heads.image_pooling import checked_windows
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import tf_norm_cfg
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from mmseg_deeplab_ext.layers.specified_module import SpecifiedModule, prepared_init_cfg
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.decoder import Decoder
from mmseg_deeplab_ext.specs.deeplab_head import HEAD_BATCH_NORM, HeadSpec

_DILATIONS = (1, 6, 12, 18)
_PROJECTED = 48
"""Channels of a projected tap (``projected_filters`` in ``model.py``)."""


@MODELS.register_module()
class DeepLabV3PlusHead(SpecifiedModule, BaseDecodeHead):
    """DeepLabv3+ (with ``c1_in_channels``) or DeepLabv3 (without), as in the official code.

    A :class:`BaseDecodeHead`: losses, samplers, sliding windows and test-time augmentation of
    MMSegmentation apply. What its ``DepthwiseSeparableASPPHead`` does differently: whole channels
    are dropped before the logits instead of single elements after the ASPP projection, bilinear
    resizing has no aligned corners, batch norms have PyTorch's constants, ASPP and decoder have
    one width, and the decoder has one stage.

    Args:
        in_channels: channels of the final backbone feature (``in_index``).
        channels: channels that the logits are computed from (decoder width; ASPP width where
            there is no decoder).
        num_classes: number of classes.
        dilations: ASPP branches: 1 for the 1x1 branch, then the atrous rates, (1, 6, 12, 18) at
            output stride 16 and (1, 12, 24, 36) at 8. (1,) leaves the atrous branches out.
        aspp_channels: channels of the ASPP; ``channels`` by default.
        aspp_separable: depthwise separable atrous branches, else dense 3x3.
        aspp_squeeze_excite: "sigmoid", or "qsigmoid" for a sigmoid of straight lines: the image
            pooling multiplies what the other branches give. None: it is one branch among them.
        aspp_projection: project the concatenated branches to ``aspp_channels``, with dropout.
        image_pooling: True pools over the whole feature map; False leaves the branch out;
            ``dict(crop_size=(h, w), output_stride=16, stride=(1, 1))`` pools over windows of that
            many pixels.
        dense_prediction_cell: a cell in the place of the ASPP: "branch5_top1_cityscapes", or one in
            Google's JSON form: the path of its file, or the list of branches that it holds. Its
            branches have ``aspp_channels``.
        output_stride: of the final feature, for a cell, whose rates it divides: 16, 8 or 4.
        c1_in_channels: channels of the tapped feature, one value or one per decoder stage; 0
            builds no decoder (DeepLabv3).
        c1_channels: channels the tap is projected to, one value or one per stage; by default 48, or
            ``channels`` with ``decoder_sum_merge``.
        c1_in_index: index of the tap among the backbone's outputs, one value or one per stage,
            coarse to fine: 0, 1, 2 for strides 4, 8, 16. ``(1, 0)`` is TensorFlow's
            ``decoder_output_stride=8,4``.
        decoder_separable: depthwise separable decoder convolutions, else dense 3x3.
        decoder_sum_merge: a stage adds the projected tap to the output of one convolution, instead
            of two convolutions behind the concatenation.
        decoder_logits: the decoder makes the logits: ``channels`` is ``num_classes``, and there
            is no ``conv_seg``. Its convolutions have a bias, no batch norm and no activation, and
            are dense, 1x1 with ``decoder_sum_merge``.
        in_index: index of the final feature among the backbone's outputs; the last by default.
        dropout_ratio: elementwise dropout after the ASPP's projection, before a cell's
            (``keep_prob`` 0.9).
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.0003, ``decay``
            0.9997) and epsilon (1.001e-5) unless stated. With so small a momentum the moving
            statistics need some 10,000 iterations: raise it for short schedules.
        align_corners: of the resize of the logits; True in TensorFlow.
        upsample_logits: True resizes the logits to the labels for the loss; False the labels to
            the logits (nearest, aligned corners), which saves memory.
        loss_decode: loss config; by default ``DeepLabCrossEntropyLoss``, averaged over the pixels
            that are not ignored (MMSegmentation's default counts ignored pixels too).
        kwargs: further arguments of :class:`BaseDecodeHead`, but ``act_cfg``, ``conv_cfg`` and
            ``input_transform``.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_classes: int,
        dilations: Sequence[int] = _DILATIONS,
        aspp_channels: int | None = None,
        aspp_separable: bool = True,
        aspp_squeeze_excite: str | None = None,
        aspp_projection: bool = True,
        image_pooling: bool | dict = True,
        dense_prediction_cell: str | Sequence[dict] | None = None,
        output_stride: int = 16,
        c1_in_channels: int | Sequence[int] = 0,
        c1_channels: int | Sequence[int] | None = None,
        c1_in_index: int | Sequence[int] = 0,
        decoder_separable: bool = True,
        decoder_sum_merge: bool = False,
        decoder_logits: bool = False,
        in_index: int = -1,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = None,
        align_corners: bool = True,
        upsample_logits: bool = True,
        loss_decode: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        _refuse_fixed(kwargs)
        norm_cfg = tf_norm_cfg(norm_cfg, HEAD_BATCH_NORM)
        if c1_channels is None:
            c1_channels = channels if decoder_sum_merge else _PROJECTED
        stages = decoder_stages(c1_in_index, c1_in_channels, c1_channels)
        dilations = checked_dilations(dilations)
        windows = checked_windows(image_pooling)
        cell = checked_cell(
            dense_prediction_cell,
            output_stride=output_stride,
            windows=windows,
            other_rates=dilations != _DILATIONS,
        )
        if decoder_logits:
            kwargs.setdefault("init_cfg", None)  # BaseDecodeHead's is that of conv_seg
        if "init_cfg" in kwargs:
            kwargs["init_cfg"] = prepared_init_cfg(kwargs["init_cfg"], HeadSpec.prefix)
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            dropout_ratio=0,  # BaseDecodeHead's dropout sits before the logits
            norm_cfg=norm_cfg,
            in_index=in_index,
            align_corners=align_corners,
            loss_decode=loss_decode or {"type": "mmseg_deeplab_ext.DeepLabCrossEntropyLoss"},
            **kwargs,
        )
        self.spec = HeadSpec.of(
            in_channels=in_channels,
            channels=channels,
            num_classes=self.out_channels,
            num_rates=len(dilations) - 1,
            aspp_channels=aspp_channels,
            aspp_separable=aspp_separable,
            aspp_squeeze_excite=aspp_squeeze_excite,
            aspp_projection=aspp_projection,
            image_pooling=windows is not None,
            dense_prediction_cell=cell,
            c1_in_channels=tuple(width for _, width, _ in stages),
            c1_channels=tuple(width for _, _, width in stages),
            decoder_separable=decoder_separable,
            decoder_sum_merge=decoder_sum_merge,
            decoder_logits=decoder_logits,
        )
        self.dropout_ratio = dropout_ratio
        self.upsample_logits = upsample_logits
        self.c1_in_index = [index for index, _, _ in stages]
        context = dict(windows=windows, dropout_ratio=dropout_ratio, norm_cfg=norm_cfg)
        if cell is None:
            self.aspp = ASPP(self.spec.context, dilations=dilations, **context)
        else:
            self.cell = CellModule(self.spec.context, output_stride=output_stride, **context)
        self.decoder = ModuleList(_decoder(self.spec.decoder, norm_cfg))
        if self.spec.decoder_is_logits:
            self.conv_seg = None

    @property
    def context(self) -> nn.Module:
        """What sees the surroundings of a pixel: ``aspp`` or ``cell``."""
        return getattr(self, self.spec.context.module)

    def forward(self, inputs: tuple[Tensor, ...], *, image_scale: float = 1.0) -> Tensor:
        """Compute the logits.

        Args:
            inputs: the backbone's feature maps.
            image_scale: of the image that they come from, for an image pooling with a crop size.

        Returns:
            [N, num_classes, h, w] at the last tap's size (the final feature's without decoder).

        Raises:
            ConfigError: if the backbone has no such feature map, or one of another width.
        """
        x = pick(inputs, "in_index", self.in_index, channels=self.in_channels)
        x = self.context(x, image_scale=image_scale)
        for index, stage in zip(self.c1_in_index, self.decoder):
            width = stage.projection.in_channels
            x = stage(x, pick(inputs, "c1_in_index", index, channels=width))
        return x if self.conv_seg is None else self.cls_seg(x)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list[SegDataSample]) -> dict:
        """Compute the losses, at the size of the labels or of the logits.

        Args:
            seg_logits: [N, num_classes, h, w].
            batch_data_samples: N samples with labels [1, H, W].

        Returns:
            Losses by name.
        """
        if not self.upsample_logits:
            size = seg_logits.shape[-2:]
            batch_data_samples = [
                SegDataSample(
                    gt_sem_seg=PixelData(data=resize_nearest(sample.gt_sem_seg.data, size))
                )
                for sample in batch_data_samples
            ]
        return super().loss_by_feat(seg_logits, batch_data_samples)


def _refuse_fixed(arguments: Mapping[str, Any]) -> None:
    fixed = sorted({"act_cfg", "conv_cfg", "input_transform"} & set(arguments))
    if fixed:
        raise ConfigError(
            f"DeepLabV3PlusHead takes no {', '.join(fixed)}: its activations, convolutions and "
            "inputs are TensorFlow's; leave the key out"
        )


def _decoder(spec: Decoder | None, norm_cfg: dict) -> Iterator[DecoderStage]:
    """The stages of a decoder; none without one."""
    for inputs, tap, projected in spec.stages if spec else ():
        yield DecoderStage(
            inputs, c1_in_channels=tap, c1_channels=projected, spec=spec, norm_cfg=norm_cfg
        )
