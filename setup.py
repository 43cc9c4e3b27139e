"""Metadata, extras, the entry point, and the files that MMEngine's hub and MIM look for."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGE = "mmseg_deeplab_ext"


def read_version() -> str:
    """Return ``__version__`` as text, without importing the package."""
    source = (ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)


setup(
    name="mmseg-deeplab-ext",
    version=read_version(),
    description="Google's DeepLab (TensorFlow) inside MMSegmentation 1.x",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.8",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    # The .mim folder holds symbolic links to configs/, tools/ and model-index.yml. An editable
    # install follows them; the files in a wheel are copies.
    package_data={
        PACKAGE: [
            ".mim/model-index.yml",
            ".mim/configs/**/*.py",
            ".mim/configs/**/*.yaml",
            ".mim/tools/**/*.py",
            ".mim/tools/**/*.sh",
        ]
    },
    zip_safe=False,
    # Nothing here may overwrite a user's torch, mmengine, mmcv or mmsegmentation: those come from
    # one of the two extras below, or are there already, and compat.py says what is missing.
    install_requires=["numpy", "crc32c>=2.3", "packaging"],
    extras_require={
        # The oldest versions are those of mmseg_deeplab_ext/hosts.py.
        # mmcv's upper bound is the one that mmsegmentation asserts; ftfy and regex are imported
        # by mmsegmentation without being declared. mmcv compiles against the installed torch, so
        # install torch first and give pip --no-build-isolation.
        "openmmlab": [
            "torch>=2.0",
            "mmengine>=0.10.3,<1",
            "mmcv>=2.0.0rc4,<2.2.0",
            "mmsegmentation>=1.2,<1.3",
            "ftfy",
            "regex",
        ],
        "onedl": [
            "torch>=2.0",
            "onedl-mmengine>=0.10.10",
            "onedl-mmcv>=2.3",
            "onedl-mmsegmentation>=1.4",
        ],
        "data": ["scipy"],
        "coco": ["pycocotools"],
        "export": ["onnx", "onnxruntime"],
        "test": [
            *("hypothesis>=6", "onnx", "onnxruntime", "pycocotools", "pytest>=7"),
            *("pytest-xdist>=3.7", "scipy"),
        ],
        "dev": ["coverage==7.17.4", "mypy==1.14.1", "ruff==0.17.6"],
    },
    entry_points={"mmseg.plugins": [f"{PACKAGE} = {PACKAGE}.plugins:register"]},
    classifiers=[
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
