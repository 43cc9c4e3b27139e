"""What MIM and ``mmengine.hub`` read: the links in ``.mim`` and the index of the models."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
MIM = REPO / "mmseg_deeplab_ext" / ".mim"


@pytest.mark.parametrize("name", ["configs", "tools", "model-index.yml"])
def test_mim_folder_links_to_the_repositorys_own_files(name):
    assert (MIM / name).is_symlink()
    assert (MIM / name).resolve() == REPO / name
    assert (MIM / name).exists()


def test_the_index_lists_every_config_that_is_not_a_base_or_a_short_name():
    index = yaml.safe_load((REPO / "model-index.yml").read_text())
    listed = []
    for name in index["Import"]:
        metafile = yaml.safe_load((REPO / name).read_text())
        collections = {collection["Name"] for collection in metafile["Collections"]}
        for model in metafile["Models"]:
            assert model["In Collection"] in collections
            assert Path(model["Config"]).stem == model["Name"]
            listed.append(model["Config"])
    configs = (REPO / "configs").glob("[!_]*/*.py")
    assert sorted(listed) == sorted(str(path.relative_to(REPO)) for path in configs)


def test_no_two_configs_share_a_name():
    """MIM finds a config by its file's name alone."""
    names = [path.name for path in (REPO / "configs").rglob("*.py")]
    assert len(names) == len(set(names))
