"""Name maps, one module per family, made by walking ``mmseg_deeplab_ext.arch``."""
