"""What many pictures, and large ones, cost: memory and time (Linux, CPU).

python benchmarks/many_pictures.py many --images 10000
python benchmarks/many_pictures.py large --size 8192 6144 --classes 21
python benchmarks/many_pictures.py large --size 2048 2048 --classes 21 --stock

``many`` predicts small pictures with tools/predict.py, and prints the peak of the process's memory
after each tenth. ``large`` predicts one picture (width, height) of noise through a sliding window,
and prints the peak beyond what this process takes before; with ``--stock`` also the labels alone,
ours and from MMSegmentation's own sliding window. The network is a MobileNetV2 with random
weights: what a larger one takes for one window comes on top. ``--no-network`` has something in its
place that costs nothing, so that all else is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable

import numpy as np
import torch
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from PIL import Image
from torch import Tensor

from mmseg_deeplab_ext.inference.labels import image_labels
from mmseg_deeplab_ext.plugins import load_plugins
from mmseg_deeplab_ext.prediction import PredictOptions, Report, predict_files
from mmseg_deeplab_ext.prediction.outputs import Outputs

CONFIG = """
default_scope = "mmseg"
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
    ),
    backbone=dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=0.5),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=160,
        channels=64,
        dilations=(1,),
        num_classes={classes},
    ),
    test_cfg=dict(mode="{mode}", crop_size=(513, 513), stride=(342, 342)),
)
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
"""


def status(key: str) -> float:
    """A figure in MiB that the system keeps of this process: VmRSS, VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def forget_the_peak() -> None:
    """Let VmHWM start anew."""
    Path("/proc/self/clear_refs").write_text("5")


def write_network(folder: Path, *, classes: int, mode: str) -> tuple[Path, Path]:
    """Write a config and a checkpoint."""
    config, weights = folder / "network.py", folder / "network.pth"
    config.write_text(CONFIG.format(classes=classes, mode=mode))
    load_plugins()
    register_all_modules()
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save({"state_dict": model.state_dict()}, weights)
    return config, weights


def many(folder: Path, images: int) -> None:
    """Predict small pictures; print the memory as the run goes on."""
    config, weights = write_network(folder, classes=21, mode="whole")
    (folder / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "picture.png")
    for number in range(images):
        (folder / f"in/{number:06}.png").symlink_to(folder / "picture.png")
    labels = folder / "out/labels"
    ended = threading.Event()

    def watch() -> None:
        tenth = 0
        while not ended.wait(0.2):
            done = len(list(labels.glob("*.png")))
            if 10 * done // images > tenth:
                tenth = 10 * done // images
                print(f"{done} of {images}: peak {status('VmHWM'):.0f} MiB", flush=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        report = predict_files(
            Config.fromfile(config),
            str(weights),
            [folder / "in"],
            Outputs(folder / "out", overlay=False),
            PredictOptions(device="cpu"),
        )
    finally:
        ended.set()
        watcher.join()
    rate = report.predicted / report.seconds
    print(f"{report.predicted} of {images}: peak {status('VmHWM'):.0f} MiB, {rate:.1f} images/s")


def grey_as_logits(model: EncoderDecoder, inputs: Tensor, metas: object) -> Tensor:
    """Stand in for a network; the logits of all classes are one tensor."""
    return inputs[:, :1].expand(-1, model.out_channels, -1, -1)


def measured(what: str, work: Callable[[], object]) -> None:
    """Print the time and the memory that a piece of work takes."""
    before = status("VmRSS")
    forget_the_peak()
    start, busy = time.perf_counter(), time.process_time()
    work()
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = status("VmHWM") - before
    print(f"{what}: {peak:.0f} MiB, {seconds:.0f} s ({busy:.0f} s of CPU time)", flush=True)


def large(folder: Path, size: tuple[int, int], classes: int, *, stock: bool) -> None:
    """Predict one large picture, from its file to the files of its prediction."""
    config, weights = write_network(folder, classes=classes, mode="slide")
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = folder / "large.png"
    Image.fromarray(noise).resize(size).save(picture, compress_level=1)

    def predict() -> Report:
        arguments = (Config.fromfile(config), str(weights), [picture], Outputs(folder / "out"))
        return predict_files(*arguments, PredictOptions(device="cpu"))

    name = f"{width}x{height}, {classes} classes"
    measured(f"{name}, whole run of predict", predict)
    if stock:
        compare(name, Config.fromfile(config), size)


def compare(name: str, cfg: Config, size: tuple[int, int]) -> None:
    """Measure the labels alone, of a picture in memory, and the same by MMSegmentation."""
    width, height = size
    model = MODELS.build(cfg.model).eval()
    images = torch.randn(1, 3, height, width)
    meta = dict(ori_shape=(height, width), img_shape=(height, width))

    def labels() -> object:
        samples = [SegDataSample(metainfo=meta)]
        return list(image_labels(model, images, samples, dtype=torch.uint8))

    measured(f"{name}, labels of a tensor", labels)
    with torch.no_grad():
        measured(
            f"{name}, the same by MMSegmentation",
            lambda: EncoderDecoder.slide_inference(model, images, [dict(meta)]).argmax(1),
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("many", "large"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, nargs=2, default=(8192, 6144), metavar="PIXELS")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--no-network", dest="network", action="store_false")
    parser.add_argument("--stock", action="store_true", help="measure MMSegmentation's, too")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("The figures come from Linux's /proc.")
    if not args.network:
        EncoderDecoder.encode_decode = grey_as_logits
    with tempfile.TemporaryDirectory() as name:
        if args.what == "many":
            many(Path(name), args.images)
        else:
            large(Path(name), tuple(args.size), args.classes, stock=args.stock)


if __name__ == "__main__":
    main()
