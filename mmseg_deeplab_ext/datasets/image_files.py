"""Image files as people have them: what is wrong with one, and its pixels, whatever the decoder.

OpenCV 4 fills a cut-off JPEG with grey, multiplies the colours of TIFFs by their transparency, and
takes the upper 8 of 16 bits also where a camera filled the lower 12 only.
"""

from __future__ import annotations

import io
import re
from typing import Any, Callable, Iterator

import mmcv
import numpy as np
from PIL import Image

from mmseg_deeplab_ext.errors import ImageFileError

UNDECODABLE = "damaged, or no format that OpenCV reads"

_VIDEO = re.compile(
    # ISO media but AVIF and HEIF, which share its frame; AVI; Matroska; MPEG; Flash; Ogg; ASF.
    rb"....(?:ftyp(?!avi[fs]|he[iv]|mi[af]|msf)|moov|mdat|wide)|RIFF....AVI |\x1aE\xdf\xa3"
    rb"|\x00\x00\x01[\xb3\xba]|FLV\x01|OggS|0&\xb2u|G.{187}G.{187}G",
    re.DOTALL,
)
_JPEG, _TIFF = b"\xff\xd8", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_SEGMENT = re.compile(rb"\xff+[^\x00\x01\xd0-\xd8\xff]")
"""A marker, but those without a length and those within a scan (ITU-T T.81, B.1.1.3 to B.1.1.5)."""

_EXIF = (b"Exif", b"eXIf", b"EXIF")
_BLACK = 16
"""Of 256: values of 12 bits are darker in the upper 8 of 16."""


def fault_of(content: bytes) -> str:
    """What is wrong with an image file before it is decoded; empty if nothing is known."""
    if not content:
        return "the file is empty"
    if _VIDEO.match(content):
        return "it is a video; make pictures of it first: ffmpeg -i FILE frames/%06d.png"
    return "the JPEG file is cut off" if _is_cut_off_jpeg(content) else ""


def lossy_format(content: bytes) -> str:
    """The format of a file whose pixels are not exactly what was saved; empty if they may be."""
    if content.startswith(_JPEG):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "lossy WebP" if "VP8 " in _webp_parts(content) else ""
    if content.startswith(_TIFF):
        compression = _with_pillow(content, lambda image: image.info.get("compression"))
        return "TIFF with lossy compression" if compression in ("jpeg", "webp") else ""
    return ""


def orientation_of(content: bytes) -> int:
    """What EXIF data, or a TIFF, says of the orientation: 1 (as stored) to 8."""
    if not content.startswith(_TIFF) and not any(mark in content for mark in _EXIF):
        return 1
    found = _with_pillow(content, lambda image: image.getexif().get(0x0112, 1))
    return found if found in range(1, 9) else 1


def decode_image(content: bytes, *, color_type: str, backend: str) -> np.ndarray:
    """Decode as `mmcv.imfrombytes` does, but transparency changes no colour, and nothing is lost.

    Args:
        content: The file.
        color_type: MMCV's ``flag``.
        backend: MMCV's name of the decoder.

    Raises:
        ImageFileError: It is no whole picture, or little more than black would be left of it.
            Other errors are the decoder's.
    """
    fault = fault_of(content)
    if fault:
        raise ImageFileError(fault)
    if backend == "cv2" and content.startswith(_TIFF):
        has_alpha = _with_pillow(content, lambda image: image.mode == "RGBA")
        backend = "pillow" if has_alpha else backend
    image = mmcv.imfrombytes(content, flag=color_type, backend=backend)
    if image is None:
        raise ImageFileError(UNDECODABLE)
    if backend == "cv2" and image.dtype == np.uint8 and image.max(initial=0) < _BLACK:
        _check_not_blackened(content)
    return image


def _check_not_blackened(content: bytes) -> None:
    """Demand that a dark image is dark in the file, too."""
    stored = np.atleast_3d(mmcv.imfrombytes(content, flag="unchanged", backend="cv2"))
    largest = int(stored[..., :3].max(initial=0))
    if stored.dtype == np.uint16 and largest > 0:
        raise ImageFileError(
            f"its values have 16 bits but end at {largest}, so that 8 bits would be nearly black; "
            "save it as 8 bits, divided by 16 if the camera has 12 bits, by 4 if it has 10"
        )


def _is_cut_off_jpeg(content: bytes) -> bool:
    """Whether a file is a JPEG that lacks its end; what is appended to one does not matter."""
    if not content.startswith(_JPEG):
        return False
    marker = _JPEG_SEGMENT.search(content, 2)
    while marker and content[marker.end() - 1] != 0xD9:
        # Thumbnails are JPEGs inside a segment.
        length = int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        marker = _JPEG_SEGMENT.search(content, marker.end() + length)
    return marker is None


def _webp_parts(content: bytes) -> Iterator[str]:
    """The names of a WebP file's parts."""
    start = 12
    while start + 8 <= len(content):
        yield content[start : start + 4].decode("latin-1")
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        start += 8 + length + length % 2


def _with_pillow(content: bytes, look: Callable[[Any], Any]) -> Any:
    """What Pillow reads in a file's head; None where it can't."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return look(image)
    # Formats that only other decoders know; Pillow raises whatever it likes.
    except Exception:
        return None
