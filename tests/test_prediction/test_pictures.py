"""Which files a command line names, and what their predictions are called."""

import os
from pathlib import Path

import pytest

from mmseg_deeplab_ext.errors import PredictionError
from mmseg_deeplab_ext.prediction.pictures import find_pictures


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Make empty files in a folder that becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


def names(*arguments, out="out"):
    pictures = find_pictures(arguments, out=Path(out))
    assert all(picture.path.is_absolute() for picture in pictures)
    return [picture.name.as_posix() for picture in pictures]


def test_a_folder_is_searched_with_its_subfolders_and_its_tree_is_kept(tree):
    tree(
        "p/b.jpg", "p/a.PNG", "p/sub/deep/c.tiff", "p/sub/notes.txt", "p/.hidden.jpg", "p/.d/e.png"
    )
    assert names("p") == ["a.png", "b.png", "sub/deep/c.png"]


def test_symbolic_links_to_folders_are_followed_each_folder_once(tree, tmp_path):
    tree("elsewhere/a.jpg", "p/b.jpg")
    os.symlink(tmp_path / "elsewhere", tmp_path / "p/link")
    os.symlink(tmp_path / "p", tmp_path / "p/round")
    assert names("p") == ["b.png", "link/a.png"]


def test_predictions_below_the_images_are_not_taken_for_images(tree):
    tree("p/a.jpg", "p/out/labels/a.png")
    assert names("p", out="p/out") == ["a.png"]
    assert names("p", out="p") == ["a.png", "out/labels/a.png"]
    tree("p/labels/a.png", "p/overlays/a.png")
    assert names("p", out="p") == ["a.png", "out/labels/a.png"]


def test_predictions_below_the_images_are_passed_over_in_globs_too(tree):
    tree("p/a.jpg", "p/out/labels/a.png", "p/out.png")
    assert names("p/**/*.*", out="p/out") == ["a.png", "out.png"]
    assert names("p/out/labels/*", out="p/out/labels") == ["a.png"]
    assert names("p/*.jpg", out="p") == ["a.png"]
    with pytest.raises(PredictionError, match="predictions are passed over"):
        names("p/out/**/*.png", out="p/out")


def test_a_file_may_have_any_suffix(tree):
    tree("scan", "scan.dat")
    assert names("scan.dat") == ["scan.png"]
    assert names("scan") == ["scan.png"]


def test_names_count_from_the_folder_that_all_arguments_share(tree):
    tree("p/x/a.jpg", "p/y/a.jpg", "p/y/z/b.jpg")
    assert names("p/x", "p/y") == ["x/a.png", "y/a.png", "y/z/b.png"]
    assert names("p/x/a.jpg", "p/y/z/b.jpg") == ["x/a.png", "y/z/b.png"]


@pytest.mark.parametrize("other", ["a.png", "A.jpeg"])
def test_files_that_differ_in_suffix_or_case_only_keep_their_suffix(tree, other):
    tree("p/a.jpg", f"p/{other}", "p/a.jpg.bmp", "p/sub/a.jpg")
    found = names("p")
    assert sorted(found) == sorted(["a.jpg.png", f"{other}.png", "a.jpg.bmp.png", "sub/a.png"])
    assert len({name.casefold() for name in found}) == 4


def test_files_keep_their_suffix_beside_a_folder_called_like_a_prediction(tree):
    tree("p/x.jpg", "p/y.jpg", "p/X.png/b.jpg", "p/X.png/c.jpg", "p/z/x.jpg")
    found = ["x.jpg.png", "y.jpg.png", "X.png/b.png", "X.png/c.png", "z/x.png"]
    assert sorted(names("p")) == sorted(found)


def test_globs_are_expanded_and_a_file_named_twice_is_predicted_once(tree):
    tree("p/a.jpg", "p/sub/b.jpg", "p/sub/c.txt")
    assert names("p/**/*.jpg") == ["a.png", "sub/b.png"]
    assert names("p/sub/b.jpg", "p/*", "p") == ["sub/b.png", "a.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    tree("p/[a].jpg", "p/a.jpg")
    assert names("p/[a].jpg") == ["[a].png"]


def test_arguments_that_lead_to_no_image_are_reported_together(tree):
    tree("p/a.jpg", "empty/readme.txt")
    with pytest.raises(PredictionError) as caught:
        find_pictures(["p", "absent.jpg", "empty", "*.bmp"], out=Path("out"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("absent.jpg: no such file or folder")
    assert lines[1].startswith("empty: no images in this folder and its subfolders")
    assert lines[2].startswith("*.bmp: no file matches")


def test_no_arguments_are_an_error():
    with pytest.raises(PredictionError, match="No images were given"):
        find_pictures([], out=Path("out"))
