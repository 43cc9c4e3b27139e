"""Data sets: checked loading, the check of a config's files, and the preparation tools.

Nothing is imported here: the preparation tools (`voc`, `demo_dataset`) work without PyTorch and
MMSegmentation. `mmseg_deeplab_ext.registry` names `loading`, which has the registered transforms.
"""
