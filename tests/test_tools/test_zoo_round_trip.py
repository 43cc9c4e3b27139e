"""From the zoo's archive on a server to MMSegmentation, to the official logits, and back."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from mmseg.apis import init_model

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.checkpoints.zoo import URL_VARIABLE
from mmseg_deeplab_ext.checkpoints.zoo_table import find_entry
from mmseg_deeplab_ext.specs import MobileNetEdgeTPUSpec, MobileNetV3Spec, XceptionSpec
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.deterministic import make_image, value
from tests.support.file_server import serve
from tests.support.golden_files import MANIFEST, full, reduced, relative_error
from tests.support.golden_networks import normalised, without_random_weights
from tests.support.tf_files import MNV2_VOC, head, head_with_logits_decoder, packed
from tests.support.tool_modules import load_tool


@dataclass(frozen=True)
class Published:
    """An entry of the zoo.

    Attributes:
        folder: in its archive.
        network: what it holds.
        golden: the official outputs of that network.
        options: of the written config, for the golden's smaller image.
    """

    folder: str
    network: NetworkSpec
    golden: str
    options: dict = field(default_factory=dict)


CELL = PUBLISHED["branch5_top1_cityscapes"]
FAMILIES = {
    "mobilenetv2_dm05_coco_voc_trainaug": Published(
        "deeplabv3_mnv2_dm05_pascal_trainaug", MNV2_VOC, "mnv2_dm05_zoo_os16_65x97"
    ),
    "xception65_coco_voc_trainaug": Published(
        "deeplabv3_pascal_train_aug",
        NetworkSpec(XceptionSpec(65), head(2048, num_rates=3, taps=[256])),
        "x65_v3plus_os16_65x97",
    ),
    "xception71_dpc_cityscapes_trainfine": Published(
        "deeplab_cityscapes_xception71_trainfine",
        NetworkSpec(
            XceptionSpec(71),
            head(2048, num_classes=19, taps=[256], dense_prediction_cell=CELL),
        ),
        "x71_dpc_os16_nc19_65x97",
    ),
    "mobilenetv3_small_cityscapes_trainfine": Published(
        "deeplab_mnv3_small_cityscapes_trainfine",
        NetworkSpec(MobileNetV3Spec("small"), head_with_logits_decoder(288, taps=[88])),
        "mnv3_small_zoo_ipcs65_97x225",
        {"model.decode_head.image_pooling.crop_size": (65, 65)},
    ),
    "EdgeTPU-DeepLab-slim": Published(
        "edgetpu-deeplab-slim",
        NetworkSpec(MobileNetEdgeTPUSpec(0.75), head(960, channels=128, num_classes=19)),
        "edgetpu_slim_os32_64x96",
    ),
}


def archive_of(published, folder):
    """The variables, and the archive as Google packed it: a folder with checkpoint and graph."""
    variables = {r.tf_name: value(r.tf_name, r.shape) for r in published.network.rules()}
    folder = folder / published.folder
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt", {**variables, "global_step": np.array(30000)})
    (folder / "frozen_inference_graph.pb").write_bytes(b"not looked at")
    return variables, packed(folder, compresslevel=0)


def logits_of(model, options):
    """Logits of a model of the written config on a golden file's image."""
    image = make_image(*options["image_size"], options["image_seed"])
    with torch.no_grad():
        return model.decode_head(model.backbone(normalised(image, options)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_published_archive_gives_the_official_logits_and_comes_back_bit_for_bit(
    name, tmp_path, monkeypatch
):
    published = FAMILIES[name]
    options = MANIFEST["networks"][published.golden]["options"]
    variables, archive = archive_of(published, tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    config, pth, prefix = (tmp_path / each for each in ("net.py", "net.pth", "back/model.ckpt"))
    prefix.parent.mkdir()
    flags = ["--output-stride", options["output_stride"], "--crop-size", *options["crop_size"]]
    with serve() as server:
        server.files[find_entry(name).archive] = archive
        monkeypatch.setenv(URL_VARIABLE, server.url(""))
        arguments = [f"tf-zoo://{name}", pth, "--config-out", config, *flags]
        load_tool("model_converters/tf2mmseg").main([str(each) for each in arguments])

    with without_random_weights():
        model = init_model(str(config), str(pth), device="cpu", cfg_options=published.options)
    references = reduced(published.golden), full(published.golden)
    logits = logits_of(model, options)
    assert relative_error(published.golden, "logits", logits, references) < 1e-5

    with without_random_weights():
        load_tool("model_converters/mmseg2tf").main([str(config), str(pth), str(prefix)])
    with open_checkpoint(prefix) as checkpoint:
        assert set(checkpoint) == set(variables)
        for key, wanted in variables.items():
            assert checkpoint[key].tobytes() == wanted.tobytes(), key
