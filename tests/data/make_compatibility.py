"""Makes compatibility.tar.xz with an older version of this package: what its users have on disk.

In a checkout of that version (6a8bff4 was used), with its environment:

    python PATH_TO/tests/data/make_compatibility.py

The archive holds, all of it written by that version's tools:

- ``trained.pth``: a checkpoint of its Runner, optimizer and all, of the network in ``trained.py``
- ``trained.ckpt.*``: what ``mmseg2tf.py`` made of it
- ``converted.pth``, ``converted.py``: what ``tf2mmseg.py --config-out`` made of that again
- ``logits.npz``: an image, and what the network makes of it
- ``<network>.py``: the config that ``tf2mmseg.py`` wrote for a network with the official widths
- ``digests.json``: for each of these, digests of its tensors' names and shapes, and of the
  TensorFlow checkpoint and the ``.pth`` that its tools made of :func:`numbers`
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch

ARCHIVE = Path(__file__).parent / "compatibility.tar.xz"
START = """
_base_ = "{repository}/configs/deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"
model = dict(
    data_preprocessor=dict(size=(65, 65), test_cfg=dict(size=(65, 65))),
    backbone=dict(widen_factor=0.05),
    decode_head=dict(
        in_channels=16,
        channels=8,
        dilations=(1, 6, 12, 18),
        c1_in_channels=16,
        c1_channels=8,
    ),
)
"""
# The weights stay as they are, and so compress well.
TRAINED = """
_base_ = "./start.py"
crop_size = (65, 65)
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="PackSegInputs"),
]
dataset = dict(
    type="PascalVOCDataset",
    data_root="demo",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
    ann_file="ImageSets/Segmentation/val.txt",
    pipeline=pipeline,
)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(_delete_=True, **dataset)
)
global_batch_size = 2
optim_wrapper = dict(optimizer=dict(lr=0.0))
train_cfg = dict(max_iters=2, val_interval=2)
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(checkpoint=dict(interval=1, save_best=None))
load_from = "start.pth"
"""
# Backbone, its depth, channels of its last feature map and of the decoder's (0: none), classes.
# The four numbers of classes are those that the configs of data sets hang on.
NETWORKS = {
    "resnet_18_beta": ("ResNetV1Beta", 18, 512, 64, 21),
    "resnet_50_beta": ("ResNetV1Beta", 50, 2048, 256, 19),
    "resnet_50_beta_without_decoder": ("ResNetV1Beta", 50, 2048, 0, 21),
    "resnet_101_beta": ("ResNetV1Beta", 101, 2048, 256, 151),
    "resnet_18": ("ResNetV1", 18, 512, 64, 21),
    "resnet_18_without_decoder": ("ResNetV1", 18, 512, 0, 7),
    "resnet_50": ("ResNetV1", 50, 2048, 256, 21),
    "resnet_101": ("ResNetV1", 101, 2048, 256, 21),
}


def numbers(name: str, shape) -> np.ndarray:
    """float32 values that a name and shape decide, of few bits, fit to run a network with."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    values = random.randint(-32, 32, shape).astype(np.float32) / 32
    if name.endswith("running_var") or len(shape) == 1 and name.endswith("weight"):
        return 1 + values / 2
    if len(shape) == 1:
        return values / 8
    fan_in = int(np.prod(shape[1:]))
    return values * np.float32(2.0 ** (1 - fan_in.bit_length() // 2))


def fill(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state dict of a module whose every tensor holds its :func:`numbers`."""
    return {
        name: torch.from_numpy(numbers(name, tuple(tensor.shape)))
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def names_digest(tensors) -> str:
    """SHA-256 of the names and shapes of tensors."""
    listing = sorted(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def bits_digest(tensors) -> str:
    """SHA-256 of names, types, shapes and bits of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.asarray(tensors[name])
        digest.update(f"{name} {value.dtype} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def model_config(family: str, depth: int, channels: int, c1_channels: int, classes: int) -> dict:
    """Model config of a row of NETWORKS."""
    decoder = dict(c1_in_channels=c1_channels, c1_channels=48) if c1_channels else {}
    return dict(
        type="EncoderDecoder",
        backbone=dict(type=f"mmseg_deeplab_ext.{family}", depth=depth),
        decode_head=dict(
            type="mmseg_deeplab_ext.DeepLabV3PlusHead",
            in_channels=channels,
            channels=256,
            num_classes=classes,
            dilations=(1, 6, 12, 18),
            **decoder,
        ),
    )


def main() -> None:
    """Write the archive."""
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(tool, *arguments):
            command = [sys.executable, repository / "tools" / f"{tool}.py", *arguments]
            subprocess.run(command, cwd=folder, check=True)

        made = [*_make_trained(folder, repository, run), folder / "digests.json"]
        digests = {}
        for network, row in NETWORKS.items():
            digests[network], config = _convert(folder, model_config(*row), network, run)
            made.append(config)
        (folder / "digests.json").write_text(json.dumps(digests, indent=2))
        for path in (path for path in made if path.suffix == ".py"):
            path.write_text(path.read_text().replace(f"{repository}/", ""))  # in the docstring
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            for path in made:
                archive.addfile(_member(path), io.BytesIO(path.read_bytes()))
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size} bytes")


def _make_trained(folder: Path, repository: Path, run) -> list[Path]:
    """A trained network, and what the tools make of it."""
    from mmengine.config import Config

    (folder / "start.py").write_text(START.format(repository=repository))
    (folder / "train.py").write_text(TRAINED)
    model = _build(Config.fromfile(folder / "start.py").model)
    torch.save({"state_dict": fill(model)}, folder / "start.pth")
    run("make_demo_dataset", "demo", "--train", "2", "--val", "2")
    run("train", "train.py", "--work-dir", "work")
    (folder / "work/iter_1.pth").rename(folder / "trained.pth")
    cfg = Config.fromfile(folder / "train.py")
    cfg.dump(folder / "trained.py")  # without bases
    run("model_converters/mmseg2tf", "trained.py", "trained.pth", "trained.ckpt")
    converted = ("converted.pth", "--config-out", "converted.py")
    run("model_converters/tf2mmseg", "trained.ckpt", *converted)
    image = np.random.RandomState(0).randint(0, 256, (1, 3, 65, 65)).astype(np.uint8)
    state = torch.load(folder / "trained.pth", map_location="cpu", weights_only=False)
    model.load_state_dict(state["state_dict"])
    np.savez(folder / "logits.npz", image=image, logits=logits(model, image))
    made = ["trained.pth", "trained.py", "trained.ckpt.index", "trained.ckpt.data-00000-of-00001"]
    return [folder / name for name in (*made, *converted[::2], "logits.npz")]


def logits(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """What a network makes of uint8 images [N, 3, H, W], RGB, at its own resolution."""
    with torch.no_grad():
        features = model.eval().backbone(torch.from_numpy(image).float() / 127.5 - 1)
        return model.decode_head(features).numpy()


def _convert(folder: Path, model: dict, name: str, run) -> tuple[dict[str, str], Path]:
    """Digests of what the tools make of a network, and the config that they write for it."""
    from mmengine.config import Config

    from mmseg_deeplab_ext.checkpoints import open_checkpoint

    Config(dict(default_scope="mmseg", model=model)).dump(folder / "model.py")
    state = fill(_build(model))
    torch.save({"state_dict": state}, folder / "model.pth")
    run("model_converters/mmseg2tf", "model.py", "model.pth", "model.ckpt", "--force")
    out = ("model.ckpt", "back.pth", "--config-out", f"{name}.py", "--force")
    run("model_converters/tf2mmseg", *out)
    back = torch.load(folder / "back.pth", map_location="cpu", weights_only=False)["state_dict"]
    with open_checkpoint(folder / "model.ckpt") as checkpoint:
        digests = {
            "names": names_digest(back),
            "bits": bits_digest(back),
            "tensorflow_bits": bits_digest(checkpoint),
        }
    if bits_digest(state) != digests["bits"]:
        raise RuntimeError(f"{name}: there and back is not the same")
    return digests, folder / f"{name}.py"


def _member(path: Path) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path.name)
    member.size = path.stat().st_size
    return member


def _build(model) -> torch.nn.Module:
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules()
    return MODELS.build(model)


if __name__ == "__main__":
    main()
