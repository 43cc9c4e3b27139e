"""docs/evaluation.md is true: an evaluation uses its configs, with and without ``--tta``."""

import re

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.inference.windows import slides
from mmseg_deeplab_ext.launch.adapt.tta import use_tta
from mmseg_deeplab_ext.launch.checks.recipe import config_notes
from mmseg_deeplab_ext.launch.config import load_config
from tests.support.segmentors import CONFIGS

register_all_modules()
TEXT = (CONFIGS.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")
ADE20K, SCALES, SLIDING = re.findall(r"```python\n(.*?)```", TEXT, re.S)
WITHOUT_TTA = ADE20K.replace("tta_pipeline = test_pipeline\n", "")
ROWS = re.findall(r"`(tta_model=dict\(.*?\))` \|", TEXT)
R18_ADE = "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-150k_ade20k-513x513.py"
R18_VOC = "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"
MNV2 = "deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"


def on_base(base, text, folder):
    """A piece of Python of the page as a config that inherits from a shipped one."""
    (folder / "mine.py").write_text(f'_base_ = "{CONFIGS / base}"\n{text}')
    return Config.fromfile(folder / "mine.py")


@pytest.mark.parametrize("tta", [False, True], ids=["plain", "tta"])
@pytest.mark.parametrize("text", [WITHOUT_TTA, ADE20K + SCALES], ids=["ade20k", "with scales"])
def test_ade20k_is_scored_at_the_resized_size(tmp_path, text, tta):
    cfg = on_base(R18_ADE, text, tmp_path)
    if tta:
        use_tta(cfg)
        assert cfg.model.type == "mmseg_deeplab_ext.DeepLabTTAModel"
    (dataset,) = ConfigView.of(cfg, splits=["test"]).datasets
    assert [step.type for step in dataset.steps] == [
        "LoadImageFromFile",
        "LoadAnnotations",
        "mmseg_deeplab_ext.ResizeToRange",
        "PackSegInputs",
    ]
    assert dataset.steps[2].as_original is True


def test_ade20ks_pipeline_is_that_of_mmsegmentations_own_tool_too(tmp_path):
    cfg = on_base(R18_ADE, ADE20K, tmp_path)
    assert cfg.tta_pipeline == cfg.test_dataloader.dataset.pipeline
    assert use_tta(cfg) == []


def test_the_scales_shown_are_those_of_the_configs(tmp_path):
    shown = on_base(R18_VOC, f"test_pipeline = _base_.test_pipeline\n{SCALES}", tmp_path)
    for base in (R18_VOC, R18_ADE):
        cfg = Config.fromfile(CONFIGS / base)
        assert shown.tta_model == cfg.tta_model
        assert cfg.tta_pipeline == cfg.test_pipeline


@pytest.mark.parametrize("row", ROWS)
def test_the_merges_of_the_table_build(tmp_path, row):
    cfg = on_base(R18_VOC, row, tmp_path)
    use_tta(cfg)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert type(model).__name__ == "DeepLabTTAModel"


def test_the_table_has_an_image_pyramid_and_nearest_labels():
    assert len(ROWS) == 2
    assert 'merge="max"' in ROWS[0]
    assert 'upsample="labels"' in ROWS[1]


@pytest.mark.parametrize(("base", "rates"), [(R18_VOC, True), (MNV2, False)])
def test_output_stride_8_takes_its_rates_along_where_the_head_has_any(base, rates):
    (row,) = (line for line in TEXT.splitlines() if "--atrous_rates" in line)
    options = dict(re.findall(r"`(model\.\S+?)=(.*?)`", row))
    assert set(options) == {"model.backbone.output_stride", "model.decode_head.dilations"}
    values = {key: eval(value) for key, value in options.items()}
    if not rates:
        assert "zoo's MobileNetV2" in row
        del values["model.decode_head.dilations"]
    cfg = load_config(str(CONFIGS / base), options=values)
    assert (len(cfg.model.decode_head.dilations) > 1) == rates
    assert config_notes(cfg, training=False) == []


def test_the_sliding_window_shown_fits_the_configs(tmp_path):
    cfg = on_base(R18_VOC, SLIDING, tmp_path)
    model = MODELS.build(cfg.model)
    assert type(model).__name__ == "SlidingEncoderDecoder"
    assert slides(model)
    assert not model.seg_logits
    crop, stride = model.test_cfg.crop_size, model.test_cfg.stride
    assert crop == cfg.model.data_preprocessor.test_cfg.size
    assert stride == tuple(int(side * 2 / 3) for side in crop)  # as tools/predict.py has it
