"""Google's DeepLabv3+ on MobileNetV2 on ADE20K val: output stride 16, images of at most 257.

python tools/test.py configs/zoo/mobilenetv2_ade20k_train.py \
    tf-zoo://mobilenetv2_ade20k_train
"""

_base_ = [
    "../_base_/models/deeplabv3_mnv2.py",
    "../_base_/datasets/ade20k_151.py",
    "../_base_/schedules/schedule_150k.py",
    "../_base_/default_runtime.py",
]

load_from = "tf-zoo://mobilenetv2_ade20k_train"
crop_size = (257, 257)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].update(scale=257, max_size=257)
test_pipeline[2].update(scale=257, max_size=257)
train_pipeline[3]["crop_size"] = crop_size
tta_pipeline = test_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(size=(257, 257), test_cfg=dict(size=(257, 257)), seg_pad_val=0),
    decode_head=dict(c1_in_channels=144, num_classes=151, ignore_index=0),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
