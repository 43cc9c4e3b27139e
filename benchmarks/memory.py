"""Memory that a training iteration of a config takes: weights, momentum, gradients, activations.

python benchmarks/memory.py configs/deeplabv3plus_r101beta_voc_12gb.py
python benchmarks/memory.py configs/deeplabv3plus_r101beta_voc_stage1.py

On a GPU, PyTorch's allocator counts, at the config's number of images per process. Without one,
PyTorch's MemTracker adds up the tensors that are alive, at 2 and at 3 images (bfloat16 autocast
where the config has AMP, of the same size as float16), and the line through the two is drawn on,
which holds where activations outweigh gradients, as at crops of 513. The work space of cuDNN and
the memory of CUDA itself are not in it. Needs PyTorch 2.5 or newer, and minutes.
"""

from __future__ import annotations

import argparse
import logging
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from peak_memory import peak_bytes

from mmseg_deeplab_ext.engine.batch_norm import FreezeBatchNormHook
from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.launch.adapt.amp import use_cpu_amp
from mmseg_deeplab_ext.launch.config import load_config
from mmseg_deeplab_ext.plugins import load_plugins

_COUNTED = (2, 3)
_SMALL = (33, 33)


def batch(images: int, size: tuple[int, int]) -> dict[str, Any]:
    """Grey images with one label, packed as a data loader does it."""
    label = torch.zeros(1, *size, dtype=torch.long)
    sample = SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=size))
    image = torch.full((3, *size), 127, dtype=torch.uint8)
    return dict(inputs=[image] * images, data_samples=[sample.clone() for _ in range(images)])


def peak(cfg: Config, images: int) -> int:
    """Bytes at the worst moment of an iteration.

    It is the last of an optimizer step that adds up gradients, in a training that has momentum.
    """
    model = MODELS.build(cfg.model).to(get_device())
    model.train()
    frozen = any("FreezeBatchNormHook" in hook["type"] for hook in cfg.get("custom_hooks") or ())
    if frozen:
        FreezeBatchNormHook().before_train_iter(SimpleNamespace(model=model), 0)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    passes = 2 * cfg.optim_wrapper.get("accumulative_counts", 1)
    wrapper.initialize_count_status(model, 0, passes)
    size = tuple(cfg.model.data_preprocessor.size)
    # Small images bring the momentum and the gradients that were added up.
    model.data_preprocessor.size = _SMALL
    for _ in range(passes - 1):
        model.train_step(batch(2, _SMALL), wrapper)
    model.data_preprocessor.size = size
    return peak_bytes(
        lambda: model.train_step(batch(images, size), wrapper), model, wrapper.optimizer
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--images", type=int, help="per process and pass; by default the config's")
    args = parser.parse_args()
    load_plugins()
    init_default_scope("mmseg")
    logging.disable(logging.WARNING)
    cfg = load_config(args.config)
    share_global_batch(cfg, 1, options={})
    cfg.model.backbone.init_cfg = None  # weights of any kind are of the same size
    images = args.images or cfg.train_dataloader.batch_size
    if torch.cuda.is_available():
        print(f"{images} images: {_mebibytes(peak(cfg, images))} on {torch.cuda.get_device_name()}")
        return
    use_cpu_amp(cfg)
    first, second = (peak(cfg, count) for count in _COUNTED)
    each = (second - first) / (_COUNTED[1] - _COUNTED[0])
    fixed = first - each * _COUNTED[0]
    print(f"{_mebibytes(fixed)}, and {_mebibytes(each)} per image")
    print(f"{images} images: {_mebibytes(fixed + each * images)}, drawn on from 2 and 3 images")


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


if __name__ == "__main__":
    main()
