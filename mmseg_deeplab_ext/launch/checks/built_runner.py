"""All that is checked with the Runner there, before it runs or as soon as it has loaded weights."""

from __future__ import annotations

from mmengine.dist import get_dist_info
from mmengine.runner import Runner

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.labels import check_labels
from mmseg_deeplab_ext.launch.checks.loaded_checkpoint import CheckpointFitsHook, segmentor_in
from mmseg_deeplab_ext.launch.checks.resumed_state import ResumedStateHook
from mmseg_deeplab_ext.specs.network import network_of_model


def check_runner(runner: Runner, view: ConfigView, *, every_label: bool) -> None:
    """Demand what needs the processes, or the model, to be there.

    What is wrong with the checkpoint in ``load_from`` shows when the Runner loads it.
    """
    check_labels(view, every=every_label, share=get_dist_info())
    _check_takes_tensorflow_weights(runner)
    if runner.cfg.get("resume"):
        runner.register_hook(ResumedStateHook())
    source = runner.cfg.get("load_from")
    if source is not None:
        training = "train" in view.splits
        used = "train" if training else "test"
        classes = next((part.classes for part in view.datasets if part.split == used), None)
        # Not in the config, which is written into the work directory.
        runner.register_hook(CheckpointFitsHook(classes, source, training=training))


def _check_takes_tensorflow_weights(runner: Runner) -> None:
    """Demand networks of ours where TensorFlow's weights are for a whole segmentor.

    Ours check for themselves what they are given; MMEngine would pass over weights that a
    network of somebody else's, or a whole segmentor behind a ``prefix``, has no names for.
    """
    initial = runner.cfg.model.get("init_cfg") or {}
    if initial.get("prefix") and is_address(str(initial.get("checkpoint"))):
        raise ConfigError(
            f"model.init_cfg: a whole segmentor takes {initial['checkpoint']} without `prefix`; a "
            "backbone or head takes it in its own init_cfg"
        )
    named = [runner.cfg.get("load_from"), initial.get("checkpoint")]
    if any(is_address(str(checkpoint)) for checkpoint in named):
        network_of_model(segmentor_in(runner.model))
