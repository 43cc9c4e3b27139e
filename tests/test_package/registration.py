"""What must hold after registration in a fresh interpreter, however the package is installed.

Run as a script, in an empty folder: the tests of the editable install and of the wheel do.
"""

import os
import sys
from pathlib import Path

NAME = "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"


def check_prefix_before_anything_else():
    """The prefix alone is enough; the bare name is not there yet."""
    from mmseg.registry import MODELS

    backbone = MODELS.build({"type": "mmseg_deeplab_ext.ResNetV1Beta", "depth": 18})
    assert "mmseg_deeplab_ext.plugins" not in sys.modules
    assert type(backbone).__name__ == "ResNetV1Beta"
    assert "ResNetV1Beta" not in MODELS.module_dict


def check_names():
    """Bare names are ours unless MMSegmentation has them."""
    import mmseg
    from mmseg.models import MobileNetV2
    from mmseg.registry import HOOKS, MODELS, TRANSFORMS

    import mmseg_deeplab_ext
    from mmseg_deeplab_ext.plugins import load_plugins, register

    assert "mmseg_deeplab_ext" in load_plugins(strict=True)
    before = dict(MODELS.module_dict)
    register()
    assert "mmseg_deeplab_ext" in load_plugins()
    assert MODELS.module_dict == before

    assert MODELS.get("MobileNetV2") is MobileNetV2
    assert Path(mmseg.__file__).parent in Path(sys.modules[MobileNetV2.__module__].__file__).parents
    assert MODELS.get("mmseg_deeplab_ext.MobileNetV2") is mmseg_deeplab_ext.MobileNetV2
    assert MODELS.get("ResNetV1Beta") is mmseg_deeplab_ext.ResNetV1Beta
    assert MODELS.get("DeepLabV3PlusHead") is mmseg_deeplab_ext.DeepLabV3PlusHead
    assert TRANSFORMS.get("CheckedLoadAnnotations") is mmseg_deeplab_ext.CheckedLoadAnnotations
    assert HOOKS.get("FreezeBatchNormHook") is mmseg_deeplab_ext.FreezeBatchNormHook
    # As a module's dotted path, which MMEngine tries last and needs no default scope.
    from mmengine.registry import MODELS as ROOT

    assert ROOT.get("mmseg_deeplab_ext.ResNetV1") is mmseg_deeplab_ext.ResNetV1


def check_hub_and_bases():
    """``mmengine.hub`` and ``_base_`` find our configs and what they name."""
    from mmengine.config import Config
    from mmengine.hub import get_config, get_model
    from mmengine.registry import DefaultScope

    config = get_config(f"mmseg_deeplab_ext::{NAME}")
    assert config.model.backbone.depth == 18
    model = get_model(f"mmseg_deeplab_ext::{NAME}")
    assert type(model.backbone).__name__ == "ResNetV1Beta"
    assert type(model).__module__.startswith("mmseg.")

    Path("inherits.py").write_text(f"_base_ = 'mmseg_deeplab_ext::{NAME}'\nmax_iters = 7\n")
    inherited = Config.fromfile("inherits.py")
    assert inherited.max_iters == 7
    assert inherited.model.backbone.depth == 18
    assert inherited.visualizer._scope_ == "mmseg_deeplab_ext"

    from mmseg_deeplab_ext.utils import register_all_modules

    DefaultScope.get_instance("other", scope_name="mmengine")
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == "mmengine"


if __name__ == "__main__":
    assert not os.listdir(), f"{os.getcwd()} is not empty"
    check_prefix_before_anything_else()
    check_names()
    check_hub_and_bases()
    import mmseg_deeplab_ext

    print("REGISTERED", Path(mmseg_deeplab_ext.__file__).parent)
