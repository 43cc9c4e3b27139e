"""Google's DeepLabv3+ on Xception-71 with a dense prediction cell on Cityscapes test: OS8, scales.

python tools/test.py configs/zoo/xception71_dpc_cityscapes_trainval.py \
    tf-zoo://xception71_dpc_cityscapes_trainval --tta

It was trained on val; the test server scores the label maps, whose folder is named below.
"""

_base_ = "./xception71_dpc_cityscapes_trainfine.py"

load_from = "tf-zoo://xception71_dpc_cityscapes_trainval"
model = dict(backbone=dict(output_stride=8), decode_head=dict(output_stride=8))
tta_model = dict(scales=(0.75, 1.0, 1.25, 1.5, 1.75, 2.0))
# The labels of this split are on the test server only.
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
tta_pipeline = test_pipeline
test_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path="leftImg8bit/test", seg_map_path="gtFine/test"),
        pipeline=test_pipeline,
    )
)
# Writes label maps with the server's numbers of the classes; needs the package cityscapesscripts.
test_evaluator = dict(
    _delete_=True,
    type="CityscapesMetric",
    format_only=True,
    keep_results=True,
    output_dir="work_dirs/xception71_dpc_cityscapes_trainval/labels",
)
