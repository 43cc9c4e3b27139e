"""Time the training pipeline here against MMSegmentation's default for Pascal VOC, in one run.

python benchmarks/pipeline.py --images 40 --rounds 5

From file to packed tensors, in one process and one thread, as in a worker of a data loader. The
images are rendered scenes of 500x375 pixels, the usual size of Pascal VOC. The pipelines take
turns, and the ratio of each pair of runs is reported: the machine's other work touches both alike.

The pipelines do not do the same. MMSegmentation's jitters colours and repeats crops that show too
much of one class, as rendered scenes often do; it is timed with and without them. TensorFlow's
scales in seven steps around the image's own size, with aligned corners, and keeps floats;
MMSegmentation's scales around a height of 512 and rounds to bytes. Results: docs/networks.md.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_deeplab_ext.datasets.demo_scenes import render_scene
from mmseg_deeplab_ext.datasets.label_png import encode_label_png, voc_colormap

HERE = Path(__file__).parents[1] / "configs" / "_base_" / "datasets" / "pascal_voc12.py"
LOADING = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
# configs/_base_/datasets/pascal_voc12.py of MMSegmentation 1.2.2.
RESIZE = dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True)
CROP = dict(type="RandomCrop", crop_size=(512, 512))
FINISH = [dict(type="RandomFlip", prob=0.5), dict(type="PackSegInputs")]
JITTER = dict(type="PhotoMetricDistortion")
PEERS = {
    "mmseg": [*LOADING, RESIZE, dict(CROP, cat_max_ratio=0.75), FINISH[0], JITTER, FINISH[1]],
    "mmseg without repeated crops": [*LOADING, RESIZE, CROP, FINISH[0], JITTER, FINISH[1]],
    "mmseg without jitter and repeated crops": [*LOADING, RESIZE, CROP, *FINISH],
}


def render(folder: Path, *, count: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Write scenes of ``size``, width and height; return the samples as a data set lists them."""
    samples = []
    for number in range(count):
        scene = render_scene(number, seed=0)
        image, label = folder / f"{number}.jpg", folder / f"{number}.png"
        Image.fromarray(scene.image).resize(size, Image.BICUBIC).save(image, quality=88)
        labels = np.asarray(Image.fromarray(scene.label).resize(size, Image.NEAREST))
        label.write_bytes(encode_label_png(labels, voc_colormap()))
        paths = dict(img_path=str(image), seg_map_path=str(label))
        samples.append(dict(paths, reduce_zero_label=False, label_map=None, seg_fields=[]))
    return samples


def images_per_second(pipeline: Callable, samples: Sequence[dict[str, Any]]) -> float:
    """Speed of a pipeline over all samples, once each."""
    copies = [dict(sample, seg_fields=[]) for sample in samples]
    start = time.perf_counter()
    for sample in copies:
        pipeline(sample)
    return len(samples) / (time.perf_counter() - start)


def built(steps: Sequence[dict[str, Any]]) -> Compose:
    """A pipeline of transforms."""
    return Compose([TRANSFORMS.build(dict(step)) for step in steps])


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40, help="per round and pipeline")
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up")
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), help="width and height")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    init_default_scope("mmseg")
    cv2.setNumThreads(0)  # as MMEngine sets the workers of a data loader
    torch.set_num_threads(1)
    pipelines = {"here": built(Config.fromfile(HERE).train_pipeline)}
    pipelines.update({name: built(steps) for name, steps in PEERS.items()})
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        samples = render(Path(folder), count=args.images, size=tuple(args.size))
        for number in range(args.rounds + 1):
            np.random.seed(number)
            speeds = {name: images_per_second(p, samples) for name, p in pipelines.items()}
            if number:
                rounds.append(speeds)
    print(f"{args.images} images of {args.size[0]}x{args.size[1]}, {args.rounds} rounds, 1 thread")
    for name in pipelines:
        median = statistics.median(speeds[name] for speeds in rounds)
        ratio = statistics.median(speeds["here"] / speeds[name] for speeds in rounds)
        versus = "" if name == "here" else f", here / this = {ratio:.2f}"
        print(f"{name}: {median:.1f} images per second{versus}")


if __name__ == "__main__":
    main()
