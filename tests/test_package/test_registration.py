"""Registration in fresh interpreters: prefix, bare names, hub, bases, and a plugin that breaks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import mmseg
import pytest

import mmseg_deeplab_ext
from tests.support.distributions import add_distribution
from tests.support.processes import run_command, run_python
from tests.test_package import registration

REPO = Path(__file__).resolve().parents[2]
STOCK_TOOLS = Path(mmseg.__file__).parent / ".mim" / "tools"

STOCK_CONFIG = """
default_scope = "mmseg"
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, size=(65, 65), seg_pad_val=255,
    ),
    backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18),
    decode_head=dict(
        type="FCNHead", in_channels=512, in_index=3, channels=32, num_classes=7, num_convs=1,
        norm_cfg=dict(type="BN"), align_corners=True,
    ),
)
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=dict(classes=tuple("abcdefg"), palette=[[i, 0, 0] for i in range(7)]),
        data_root=r"{scenes}",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        ann_file="ImageSets/Segmentation/train.txt",
        pipeline=[
            dict(type="mmseg_deeplab_ext.CheckedLoadImageFromFile"),
            dict(type="mmseg_deeplab_ext.CheckedLoadAnnotations", num_classes=7),
            dict(type="RandomCrop", crop_size=(65, 65)),
            dict(type="PackSegInputs"),
        ],
    ),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=2)
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2),
)
custom_hooks = [dict(type="mmseg_deeplab_ext.FreezeBatchNormHook")]
log_processor = dict(by_epoch=False)
"""

INHERITING_CONFIG = """
_base_ = "mmseg_deeplab_ext::{name}"
model = dict(
    data_preprocessor=dict(size=(65, 65), test_cfg=dict(size=(161, 161))),
    backbone=dict(type="ResNetV1Beta"),
)
data = dict(data_root=r"{scenes}")
pipeline = [
    dict(type="CheckedLoadImageFromFile"),
    dict(type="CheckedLoadAnnotations", num_classes=21),
    dict(type="RandomCrop", crop_size=(65, 65)),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=pipeline, **data)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
global_batch_size = 2
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
"""


@pytest.fixture
def broken_plugin(tmp_path):
    """A path for PYTHONPATH with a distribution whose plugin cannot be imported."""
    site = tmp_path / "site"
    add_distribution(
        site,
        "half-installed",
        modules={"half_installed.py": "import a_module_that_nobody_has\n"},
        entry_points="[mmseg.plugins]\nhalf = half_installed:register\n",
    )
    return os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])


def losses(work_dir):
    log = next(Path(work_dir).glob("*/*.log")).read_text()
    return [float(value) for value in re.findall(r"Iter\(train\).* loss: ([\d.]+)", log)]


def test_prefix_names_hub_and_bases_work_in_this_installation(tmp_path):
    process = run_command(registration.__file__, cwd=tmp_path)
    assert f"REGISTERED {Path(mmseg_deeplab_ext.__file__).parent}" in process.stdout


def test_every_child_registry_finds_mmsegmentations_classes_in_a_fresh_interpreter(tmp_path):
    """In an order in which no import brings the next one's classes along."""
    run_python(
        """
        from mmseg_deeplab_ext import registry

        for name, cls in (
            ("VISUALIZERS", "SegLocalVisualizer"),
            ("METRICS", "IoUMetric"),
            ("HOOKS", "SegVisualizationHook"),
            ("DATASETS", "PascalVOCDataset"),
            ("TRANSFORMS", "PackSegInputs"),
            ("MODELS", "EncoderDecoder"),
        ):
            found = getattr(registry, name).get(cls)
            assert found.__name__ == cls
            assert found.__module__.startswith("mmseg."), found
        """,
        cwd=tmp_path,
    )


@pytest.mark.slow
def test_the_stock_training_tool_trains_our_network_by_its_prefix_alone(tmp_path, scenes):
    (tmp_path / "stock.py").write_text(STOCK_CONFIG.format(scenes=scenes))
    run_command(STOCK_TOOLS / "train.py", "stock.py", "--work-dir", "work", cwd=tmp_path)
    assert len(losses(tmp_path / "work")) == 2
    assert (tmp_path / "work" / "iter_2.pth").exists()


@pytest.mark.slow
def test_a_broken_plugin_neither_stops_a_training_nor_goes_unnoticed(
    tmp_path, scenes, broken_plugin
):
    """The config inherits from our package and uses a bare name, so all of these work as well."""
    text = INHERITING_CONFIG.format(name=registration.NAME, scenes=scenes)
    (tmp_path / "inherits.py").write_text(text)
    command = (REPO / "tools" / "train.py", "inherits.py", "--work-dir", "work")
    process = run_command(*command, cwd=tmp_path, PYTHONPATH=broken_plugin)
    assert len(losses(tmp_path / "work")) == 2
    assert "mIoU" in process.stdout + process.stderr
    assert process.stderr.count("'half' of the installed package 'half-installed' fails") == 1
    assert process.stderr.count("No module named 'a_module_that_nobody_has'") == 1

    # Without our own plugin, which needs seconds and has nothing to do with it.
    strict = {"MMSEG_PLUGINS": "half", "MMSEG_PLUGINS_STRICT": "1"}
    process = run_command(*command, cwd=tmp_path, code=1, PYTHONPATH=broken_plugin, **strict)
    assert "error: the plugin 'half' of the installed package 'half-installed'" in process.stderr
