"""Data sets: loading and transforms, faults of image files, the preparation tools.

Nothing is imported here: the preparation tools (`voc`, `coco_as_voc`, `demo_dataset`) work without
PyTorch and MMSegmentation. `mmseg_deeplab_ext.registry` names `loading` and `transforms`, which
have the registered transforms.
"""
