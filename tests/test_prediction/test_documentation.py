"""docs/prediction.md is true: its commands run, and it names every option and mode."""

import re
import shlex

import pytest

from mmseg_deeplab_ext.prediction.modes import MODES
from tests.support.tool_modules import REPO

TEXT = (REPO / "docs" / "prediction.md").read_text(encoding="utf-8")
COMMANDS = "".join(re.findall(r"```bash\n(.*?)```", TEXT, re.S)).splitlines()


def test_every_option_and_mode_is_described(main, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"`(--[a-z][a-z-]+)", TEXT))
    assert all(f"| `{mode}` |" in TEXT for mode in MODES)


def test_the_commands_run_as_they_stand(main, net, save_image, tmp_path, monkeypatch, capsys):
    for name in ("photos/a.png", "photos/sub/b.png", "more/deep/c.jpg"):
        save_image(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[:4] == ["python", "tools/predict.py", "CONFIG", "CHECKPOINT"]
        assert main([str(net.config), str(net.pth), *words[4:]]) == 0
    first, again = capsys.readouterr().out.split("predicted: ")[1:]
    assert first.startswith("3 of 3 images")
    assert "3 of 3 images" in again.splitlines()[1]  # passed over
    labels = tmp_path / "predictions/labels"
    written = {path.relative_to(labels).as_posix() for path in labels.rglob("*.png")}
    assert written == {"photos/a.png", "photos/sub/b.png", "more/deep/c.png"}
