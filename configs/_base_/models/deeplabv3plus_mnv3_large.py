"""DeepLabv3+ on MobileNetV3 large at output stride 32, as in the model zoo of TensorFlow's DeepLab.

Its image pooling gates the 1x1 branch, and its decoder, which makes the logits, adds the tap of
stride 8 (g3doc/model_zoo.md). The pooled window is the training crop of Cityscapes.
"""

_base_ = "./deeplabv3_mnv2.py"

model = dict(
    backbone=dict(
        _delete_=True, type="mmseg_deeplab_ext.MobileNetV3", arch="large", output_stride=32
    ),
    decode_head=dict(
        in_channels=480,
        channels=19,
        num_classes=19,
        aspp_channels=128,
        aspp_squeeze_excite="qsigmoid",
        aspp_projection=False,
        image_pooling=dict(crop_size=(769, 769), output_stride=32, stride=(4, 5)),
        c1_in_channels=120,
        c1_in_index=1,
        decoder_sum_merge=True,
        decoder_logits=True,
    ),
)
