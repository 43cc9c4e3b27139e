"""docs/export.md is true: its commands run, and so does its program."""

import re
import shlex
import subprocess
import sys

import pytest
from PIL import Image

from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST
from tests.support.segmentors import CONFIGS
from tests.support.tool_modules import load_tool

TEXT = (CONFIGS.parent / "docs" / "export.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S) for line in block.splitlines()
]
PROGRAM, IN_OPENVINO = re.findall(r"```python\n(.*?)```", TEXT, re.S)
(PRINTED,) = re.findall(r"```\n(deeplab.onnx: .*?)```", TEXT, re.S)
CONFIG = CONFIGS / "deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"
WITH_RATES = CONFIGS / "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"


@pytest.mark.slow
def test_the_commands_write_files_that_the_program_runs(onnx, weights, tmp_path, monkeypatch):
    assert len(COMMANDS) == 4
    monkeypatch.chdir(tmp_path)
    size = (200, 300)
    Image.fromarray(make_image(*size)).save("picture.jpg")
    name = "r18b_v3plus_os16_65x97"
    checkpoint = weights(name, MANIFEST["networks"][name]["options"])
    main = load_tool("export").main
    for number, command in enumerate(COMMANDS):
        python, script, *arguments = shlex.split(command)
        assert (python, script) == ("python", "tools/export.py")
        names = {"CONFIG": str(WITH_RATES), "CHECKPOINT": str(checkpoint)}
        main([names.get(argument, argument) for argument in arguments])
        if number == 0:
            result = subprocess.run(
                [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120
            )
            assert result.stdout.startswith(f"(1, {size[0]}, {size[1]}) "), result.stderr


def test_every_option_is_described(capsys):
    with pytest.raises(SystemExit):
        load_tool("export").main(["--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    described = set(re.findall(r"`(--[a-z][a-z-]+)", TEXT))
    assert options <= described


@pytest.mark.slow
def test_what_the_tool_prints_is_what_the_page_shows(onnx, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checkpoint = weights("mnv2_zoo", MANIFEST["networks"]["mnv2_zoo_os16_65x97"]["options"])
    load_tool("export").main([str(CONFIG), str(checkpoint), "deeplab.onnx"])
    assert capsys.readouterr().out.endswith(PRINTED)
