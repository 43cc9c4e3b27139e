"""DeepLabv3+ on timm's tf_efficientnet_b0, made dense: timm has to be installed."""

_base_ = "./deeplabv3plus_atrous_mnv2.py"

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    # Weights start from random; arguments=dict(pretrained=True) starts from timm's.
    backbone=dict(
        network="timm/tf_efficientnet_b0",
        # The last unit, as is usual, and not the 1280 channels that the classifier adds.
        end_points={32: "blocks.6"},
    ),
)
