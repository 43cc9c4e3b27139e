"""The memory of a run does not grow with the number of its images (Linux)."""

from pathlib import Path

import pytest
from mmseg.models.segmentors import EncoderDecoder
from PIL import Image

STATUS = Path("/proc/self/status")


def peak_kibibytes():
    lines = STATUS.read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
def test_500_images_need_the_memory_of_50(main, net, tmp_path, monkeypatch):
    # As if the colours were logits: what the network itself needs is not the question.
    monkeypatch.setattr(EncoderDecoder, "encode_decode", lambda model, inputs, metas: inputs)
    image = tmp_path / "image.png"
    Image.new("RGB", (256, 256), "green").save(image)

    def peak_of(count):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.png").symlink_to(image)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        command = [net.config, net.pth, folder, "--out", tmp_path / "out" / folder.name]
        options = ["--no-overlay", "--device", "cpu", "--batch-size", "4"]
        assert main([*map(str, command), *options]) == 0
        return peak_kibibytes()

    few, many = peak_of(50), peak_of(500)
    one_byte_for_each_pixel = 450 * 256 * 256 // 1024
    assert many - few < one_byte_for_each_pixel
