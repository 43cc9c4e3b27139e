"""An image that is larger than the crop is evaluated, and said once."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_deeplab_ext.launch.checks.larger_images import LargerImagesHook


class Model(nn.Module):
    """What the hook looks at in a segmentor, or in a wrapper around one."""

    def __init__(self, size=(65, 97), mode="whole", module=None):
        super().__init__()
        if module is not None:
            self.module = module
            return
        self.decode_head = nn.Module()
        # `size` is that of the training: an evaluation without a `test_cfg` has no crop.
        self.data_preprocessor = SimpleNamespace(size=(65, 97), test_cfg=size and {"size": size})
        self.test_cfg = mode and {"mode": mode}


def said(model, *sizes, caplog):
    """The lines of an evaluation of one image per batch."""
    caplog.clear()
    runner = SimpleNamespace(model=model, logger=logging.getLogger("runner"))
    hook = LargerImagesHook()
    with caplog.at_level(logging.INFO, logger="runner"):
        for number, size in enumerate(sizes):
            sample = SegDataSample(metainfo={"img_path": f"{number}.jpg"})
            batch = {"inputs": [torch.zeros(3, *size)], "data_samples": [sample]}
            hook.before_test_iter(runner, number, batch)
    return caplog.messages


@pytest.mark.parametrize(
    "model",
    [Model(), Model(module=Model()), Model(mode=None)],
    ids=["plain", "wrapped", "no-test-cfg"],
)
def test_the_first_image_larger_than_the_crop_is_named(model, caplog):
    assert said(model, (65, 97), (40, 30), caplog=caplog) == []
    (line,) = said(model, (65, 97), (66, 97), (65, 98), caplog=caplog)
    assert line.startswith("1.jpg (66 x 97) is larger than")
    assert "model.data_preprocessor.test_cfg.size=(65, 97)" in line


@pytest.mark.parametrize("model", [Model(mode="slide"), Model(size=None)], ids=["slide", "no-size"])
def test_windows_and_a_config_without_a_crop_need_no_words(model, caplog):
    assert said(model, (500, 500), caplog=caplog) == []


def test_the_copies_that_mmsegs_augmentation_makes_are_left_alone(caplog):
    copies = [[torch.zeros(3, 500, 500)], [torch.zeros(3, 900, 900)]]
    runner = SimpleNamespace(model=Model(), logger=logging.getLogger("runner"))
    with caplog.at_level(logging.INFO, logger="runner"):
        LargerImagesHook().before_test_iter(
            runner, 0, {"inputs": copies, "data_samples": [[SegDataSample()]] * 2}
        )
    assert caplog.messages == []
