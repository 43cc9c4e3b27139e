"""The one function that MMEngine looks for under this name: ``mmengine.hub.get_model`` calls it."""

from __future__ import annotations


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import everything that registers itself, ours and MMSegmentation's.

    Args:
        init_default_scope: Whether to make ``mmseg`` the default scope where there is none yet.
            One that is set already stays.
    """
    from mmengine.registry import DefaultScope
    from mmseg.utils import register_all_modules as register_mmseg

    from mmseg_deeplab_ext.registry import OWN

    for child in OWN:
        child.import_from_location()
    register_mmseg(init_default_scope and DefaultScope.get_current_instance() is None)
