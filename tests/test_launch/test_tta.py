"""``--tta``: which model and which pipeline go together."""

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.adapt.tta import use_tta
from mmseg_deeplab_ext.segmentors import DeepLabTTAModel

PLAIN = [{"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}]
COPIES = [{"type": "LoadImageFromFile"}, {"type": "TestTimeAug", "transforms": []}]
RESIZED = [PLAIN[0], {"type": "Resize", "scale": (64, 64)}, PLAIN[1]]
OURS, STOCK = "mmseg_deeplab_ext.DeepLabTTAModel", "SegTTAModel"


def config(tta_model, tta_pipeline, own=()):
    leaf = {"type": "BaseSegDataset", "pipeline": list(own)}
    return Config(
        {
            "model": {"type": "EncoderDecoder"},
            "tta_model": tta_model,
            "tta_pipeline": tta_pipeline,
            "test_dataloader": {"dataset": {"type": "ConcatDataset", "datasets": [leaf, leaf]}},
        }
    )


@pytest.mark.parametrize(
    ("kind", "pipeline"), [(STOCK, COPIES), ("a.model.of.their.Own", PLAIN), ("Own", COPIES)]
)
def test_the_model_is_wrapped_and_every_data_set_gets_the_pipeline(kind, pipeline):
    cfg = config({"type": kind}, pipeline)
    assert use_tta(cfg) == []
    assert cfg.model.to_dict() == {"type": kind, "module": {"type": "EncoderDecoder"}}
    for leaf in cfg.test_dataloader.dataset.datasets:
        assert leaf.pipeline == pipeline


@pytest.mark.parametrize("pipeline", [None, PLAIN, RESIZED])
def test_for_the_official_merge_every_data_set_keeps_its_own_pipeline(pipeline):
    cfg = config({"type": OURS}, pipeline, own=PLAIN)
    notes = use_tta(cfg)
    assert cfg.model.to_dict() == {"type": OURS, "module": {"type": "EncoderDecoder"}}
    for leaf in cfg.test_dataloader.dataset.datasets:
        assert leaf.pipeline == PLAIN
    if pipeline == RESIZED:
        assert len(notes) == 1
        assert "tta_pipeline, which differs, is not used" in notes[0]
    else:
        assert notes == []


@pytest.mark.parametrize("kind", [OURS, DeepLabTTAModel])
def test_the_official_merge_does_not_take_copies(kind):
    with pytest.raises(ConfigError, match="tta_pipeline has TestTimeAug"):
        use_tta(config({"type": kind}, COPIES))


def test_the_stock_merge_needs_copies():
    with pytest.raises(ConfigError, match="tta_pipeline has no TestTimeAug"):
        use_tta(config({"type": STOCK}, PLAIN))


@pytest.mark.parametrize(
    ("model", "pipeline", "named"),
    [(None, PLAIN, "tta_model"), ({"type": STOCK}, None, "tta_pipeline")],
)
def test_a_missing_key_is_named(model, pipeline, named):
    with pytest.raises(ConfigError, match=f"--tta needs {named} in the config"):
        use_tta(config(model, pipeline))
