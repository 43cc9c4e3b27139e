"""The README is true: its files exist, its config builds, each of its commands is run somewhere."""

import re
from pathlib import Path

from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

# What runs each command: a file that must hold the given text.
RUN_BY = {
    "pip install .": ("tests/test_package/test_wheel.py", "wheel"),
    "python -m mmseg_deeplab_ext check": ("tools/make_env.sh", "-m mmseg_deeplab_ext check"),
    "make demo": (".ci/run", "make demo"),
    "make test": (".ci/run", "make test"),
    "python tools/dataset_converters/prepare_voc.py": (
        "tests/test_datasets/test_voc.py",
        "prepare_voc",
    ),
    "python tools/train.py": ("tests/test_tools/test_train.py", "tools/train.py"),
    "tools/dist_train.sh": ("tests/test_tools/test_distributed_training.py", "dist_train.sh"),
    "NNODES=2": ("tests/test_tools/test_distributed_training.py", "NNODES"),
    "tools/slurm_train.sh": ("tests/test_tools/test_slurm_scripts.py", "slurm_train.sh"),
    "python tools/test.py": ("tests/test_tools/test_test.py", "tools/test.py"),
    "tools/dist_test.sh": ("tests/test_tools/test_test.py", "dist_test.sh"),
    "tools/make_env.sh": ("Makefile", "tools/make_env.sh"),
}


def commands():
    blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_every_command_is_run_by_a_test_or_by_ci():
    for command in commands():
        runners = [RUN_BY[start] for start in RUN_BY if command.startswith(start)]
        assert runners, f"nothing runs: {command}"
        for path, text in runners:
            assert text in (ROOT / path).read_text(), (command, path)


def test_every_file_it_names_exists():
    named = re.findall(r"(?:configs|docs|tools)/[\w./-]+", README)
    missing = [name for name in named if not (ROOT / name.rstrip(".")).exists()]
    assert named
    assert not missing


def test_the_config_for_your_own_use_builds():
    register_all_modules()
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.S)
    namespace = {}
    exec(snippet, namespace)
    model = MODELS.build(ConfigDict(namespace["model"]))
    assert type(model.backbone).__name__ == "ResNetV1Beta"
    assert model.auxiliary_head.in_channels == 1024
