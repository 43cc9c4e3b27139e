"""Child registries of MMSegmentation's: what makes ``type="mmseg_deeplab_ext.<Name>"`` work.

MMEngine imports this module by itself when it meets the prefix, and it hides an ``ImportError``
raised in here behind a misleading ``KeyError``. So this file holds nothing of ours that can fail;
the modules named as ``locations`` are imported on first use, and their errors reach the user
unchanged.

MMEngine searches a child's parents without importing their modules. Every child therefore names
MMSegmentation's modules as well as ours. It also takes a child for every registry of
MMSegmentation, not only for those we add to: the parts of a config inherited through
``_base_ = "mmseg_deeplab_ext::..."`` are looked up in the child of this scope whatever they are
(visualisers, loops, metrics), and MMEngine falls back to its own root, which does not know
MMSegmentation's classes, where there is no child.
"""

from __future__ import annotations

from mmengine.registry import Registry
from mmseg import registry as host

SCOPE = "mmseg_deeplab_ext"


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=list(locations))


# The ones with classes of ours.
MODELS = _child(
    host.MODELS,
    "mmseg.models",
    "mmseg_deeplab_ext.backbones",
    "mmseg_deeplab_ext.conversion.addresses",  # no class, but the checkpoints tf:// and tf-zoo://
    "mmseg_deeplab_ext.decode_heads",
    "mmseg_deeplab_ext.losses",
    "mmseg_deeplab_ext.segmentors",
)
TRANSFORMS = _child(
    host.TRANSFORMS,
    "mmseg.datasets",
    "mmseg_deeplab_ext.datasets.loading",
    "mmseg_deeplab_ext.datasets.transforms",
)
HOOKS = _child(host.HOOKS, "mmseg.engine", "mmseg_deeplab_ext.engine")
OPTIM_WRAPPERS = _child(host.OPTIM_WRAPPERS, "mmseg.engine", "mmseg_deeplab_ext.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    host.OPTIM_WRAPPER_CONSTRUCTORS, "mmseg.engine", "mmseg_deeplab_ext.engine"
)

OWN = (MODELS, TRANSFORMS, HOOKS, OPTIM_WRAPPERS, OPTIM_WRAPPER_CONSTRUCTORS)

# The ones that only lead to MMSegmentation's.
DATA_SAMPLERS = _child(host.DATA_SAMPLERS, "mmseg.datasets")
DATASETS = _child(host.DATASETS, "mmseg.datasets")
EVALUATOR = _child(host.EVALUATOR, "mmseg.evaluation")
INFERENCERS = _child(host.INFERENCERS, "mmseg.apis")
LOG_PROCESSORS = _child(host.LOG_PROCESSORS, "mmseg.visualization")
LOOPS = _child(host.LOOPS, "mmseg.engine")
METRICS = _child(host.METRICS, "mmseg.evaluation")
MODEL_WRAPPERS = _child(host.MODEL_WRAPPERS, "mmseg.models")
OPTIMIZERS = _child(host.OPTIMIZERS, "mmseg.engine")
PARAM_SCHEDULERS = _child(host.PARAM_SCHEDULERS, "mmseg.engine")
RUNNER_CONSTRUCTORS = _child(host.RUNNER_CONSTRUCTORS, "mmseg.engine")
RUNNERS = _child(host.RUNNERS, "mmseg.engine")
TASK_UTILS = _child(host.TASK_UTILS, "mmseg.models")
VISBACKENDS = _child(host.VISBACKENDS, "mmseg.visualization")
VISUALIZERS = _child(host.VISUALIZERS, "mmseg.visualization")
WEIGHT_INITIALIZERS = _child(host.WEIGHT_INITIALIZERS, "mmseg.models")
