"""What is wrong with image files, and their pixels; CI runs this with OpenCV 4.10 as well."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_deeplab_ext.datasets.image_files import (
    decode_image,
    fault_of,
    lossy_format,
    orientation_of,
)
from mmseg_deeplab_ext.errors import ImageFileError

CUT_OFF = "the JPEG file is cut off"
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)


def saved(pixels: np.ndarray, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **how)
    return buffer.getvalue()


def jpeg(size: int = 64, **how: Any) -> bytes:
    return saved(NOISE[:size, :size, :3], "JPEG", **how)


def decoded(content: bytes, color_type: str = "color") -> np.ndarray:
    return decode_image(content, color_type=color_type, backend="cv2")


@pytest.mark.parametrize("how", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_a_jpeg_without_its_end_is_cut_off(how: dict, share: float) -> None:
    whole = jpeg(**how)
    assert not fault_of(whole)
    assert fault_of(whole[: int(len(whole) * share)]) == CUT_OFF


def test_a_download_that_was_allocated_but_not_filled_is_cut_off() -> None:
    whole = jpeg()
    assert fault_of(whole[:1500] + bytes(len(whole) - 1500)) == CUT_OFF


def test_what_cameras_put_before_and_after_the_image_does_not_matter() -> None:
    thumbnail = Image.Exif().tobytes() + jpeg(16)
    whole = jpeg(exif=thumbnail)
    assert jpeg(16) in whole
    film = bytes(100) + b"\xff\xda" + b"SEFT"  # what looks like a scan without an end
    for after in (b"", bytes(100) + b"SEFT", film, jpeg(16)):
        assert not fault_of(whole + after)
    assert fault_of(whole[: int(len(whole) * 0.7)]) == CUT_OFF


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_no_format_is_read_in_part(kind: str, share: float) -> None:
    if kind == "GIF" and cv2.__version__ < "5":
        pytest.skip("OpenCV 4 reads no GIF")
    whole = saved(NOISE[..., :3], kind)
    assert not fault_of(whole)
    with pytest.raises((ImageFileError, cv2.error)):
        decoded(whole[: int(len(whole) * share)])
    assert decoded(whole).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x20ftypisom",
        b"\0\0\0\x14ftypqt  ",
        b"\0\0\0\x08wide",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x1aE\xdf\xa3",
        b"\0\0\1\xba",
        b"0&\xb2u\x8e\x66\xcf\x11",
        (b"G" + bytes(187)) * 3,
    ],
    ids=["mp4", "mov", "old mov", "avi", "mkv", "mpeg", "wmv", "ts"],
)
def test_a_video_is_named_with_the_way_to_pictures(start: bytes) -> None:
    assert "a video; make pictures of it first: ffmpeg" in fault_of(start + bytes(99))


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"])
def test_pictures_in_the_frame_of_videos_are_none(brand: bytes) -> None:
    assert not fault_of(b"\0\0\0\x20ftyp" + brand + bytes(99))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("color_type", ["color", "grayscale"])
def test_transparency_changes_no_colour(kind: str, color_type: str) -> None:
    how = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    opaque = decoded(saved(NOISE[..., :3], "PNG"), color_type)
    found = decoded(saved(NOISE, kind, **how), color_type).astype(int)
    assert np.abs(found - opaque).max() <= (color_type == "grayscale")  # rounded otherwise


def test_a_tiff_with_transparency_keeps_its_orientation() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    content = saved(NOISE[:10], "TIFF", exif=turned)
    assert np.array_equal(decoded(content), np.rot90(NOISE[:10, :, 2::-1], -1))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize("largest", [200, 1023, 4095])
def test_16_bits_filled_in_part_are_refused_and_not_black(suffix: str, largest: int) -> None:
    deep = np.linspace(0, largest, 64).astype(np.uint16).reshape(8, 8)
    with pytest.raises(ImageFileError, match=f"16 bits but end at {largest}.*divided by 16"):
        decoded(cv2.imencode(suffix, deep)[1].tobytes())


def test_what_is_dark_or_deep_itself_is_read() -> None:
    assert decoded(cv2.imencode(".png", np.zeros((4, 4), np.uint16))[1].tobytes()).max() == 0
    assert decoded(saved(np.full((4, 4), 9, np.uint8), "PNG")).max() == 9
    full = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    content = cv2.imencode(".png", full)[1].tobytes()
    assert np.array_equal(decoded(content)[..., 0], full >> 8)
    dark = cv2.imencode(".png", full >> 5)[1].tobytes()
    assert np.array_equal(decoded(dark, "unchanged"), full >> 5)


@pytest.mark.parametrize(
    ("kind", "how", "lossy"),
    [
        ("JPEG", {}, "JPEG"),
        ("WEBP", {}, "lossy WebP"),
        ("WEBP", {"exif": b"Exif\0\0"}, "lossy WebP"),  # behind a head (VP8X)
        ("WEBP", {"lossless": True}, ""),
        ("TIFF", {"compression": "jpeg"}, "TIFF with lossy compression"),
        ("TIFF", {"compression": "tiff_lzw"}, ""),
        ("TIFF", {}, ""),
        ("PNG", {}, ""),
    ],
)
def test_lossy_formats_are_told_apart(kind: str, how: dict, lossy: str) -> None:
    assert lossy_format(saved(NOISE[..., :3], kind, **how)) == lossy


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 8])
def test_the_orientation_is_read_from_every_format(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert orientation_of(saved(NOISE[..., :3], kind, exif=exif)) == orientation
    assert orientation_of(saved(NOISE[..., :3], kind)) == 1
    assert orientation_of(b"Exif, and no picture") == 1
