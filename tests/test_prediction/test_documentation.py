"""docs/prediction.md names every option and mode of tools/predict.py."""

import re

import pytest

from mmseg_deeplab_ext.prediction.modes import MODES
from tests.support.tool_modules import TOOLS, load_tool

TEXT = (TOOLS.parent / "docs" / "prediction.md").read_text(encoding="utf-8")


def test_every_option_and_mode_is_described(capsys):
    with pytest.raises(SystemExit):
        load_tool("predict").main(["--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"`(--[a-z][a-z-]+)", TEXT))
    assert all(f"| `{mode}` |" in TEXT for mode in MODES)
