"""tools/predict.py: its pictures are MMSegmentation's predictions, whatever the files are like."""

import io
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from mmseg.models.utils import resize
from mmseg.utils import get_palette
from PIL import Image

from mmseg_deeplab_ext.checkpoints import zoo
from mmseg_deeplab_ext.checkpoints.reader import open_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointMismatchError,
    ConfigError,
    PredictionError,
)
from mmseg_deeplab_ext.prediction import predict as predict_module
from tests.support.tf_files import MNV2_VOC, write_network
from tests.support.tool_modules import TOOLS, load_tool
from tests.test_networks.test_real_weights import REAL, WEIGHTS, convert, write_voc5

CROP = (65, 65)


def picture(height, width, seed=0):
    """Smooth colours: RGB, uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.BICUBIC))


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A small network's weights, in TensorFlow's form and ours, and its config."""
    folder = tmp_path_factory.mktemp("net")
    pth, config = folder / "net.pth", folder / "net.py"
    tool = load_tool("model_converters/tf2mmseg").main

    def write(name, **variables):
        prefix = folder / name
        write_network(prefix, MNV2_VOC, **variables)
        arguments = (prefix, pth, "--config-out", config, "--crop-size", *CROP, "--force")
        tool([str(argument) for argument in arguments])
        return f"tf://{prefix}"

    write("model.ckpt")
    # As they are, the values predict one class nearly everywhere: give all of them a chance.
    model = init_model(str(config), str(pth), device="cpu")
    (logits,) = (one.seg_logits.data for one in inference_model(model, [picture(*CROP)]))
    biases = model.decode_head.conv_seg.bias.detach() - logits.mean(dim=(1, 2))
    tf = write("balanced.ckpt", **{"logits/semantic/biases": biases.numpy()})
    return SimpleNamespace(tf=tf, pth=pth, config=config)


@pytest.fixture(scope="module")
def peer(net):
    """The network as MMSegmentation builds, loads and runs it."""
    return init_model(str(net.config), str(net.pth), device="cpu")


@pytest.fixture(scope="module")
def main():
    return load_tool("predict").main


@pytest.fixture
def predict(main, net, tmp_path):
    """Run the tool; returns its exit status."""

    def run(*images, out=tmp_path / "out", config=net.config, weights=net.pth, options=()):
        command = [config, weights, *images, "--out", out, "--device", "cpu", *options]
        return main([str(word) for word in command])

    return run


def save(path, image, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **how)
    return path


def label(path):
    return np.asarray(Image.open(path))


def expected(peer, image):
    """What MMSegmentation predicts for an RGB image."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    return inference_model(peer, bgr).pred_sem_seg.data[0].numpy()


SIZES = {"a": (40, 60), "b": (65, 65), "sub/c": (33, 21), "d": (1, 1), "e": (80, 50), "f": (80, 50)}


@pytest.fixture
def photos(tmp_path):
    for seed, (name, size) in enumerate(SIZES.items()):
        save(tmp_path / f"photos/{name}.png", picture(*size, seed))
    return tmp_path / "photos"


@pytest.mark.parametrize("batch_size", [1, 3])
def test_labels_are_mmsegmentations_predictions_whatever_the_sizes_in_a_batch(
    predict, peer, photos, tmp_path, batch_size
):
    assert predict(photos, options=["--batch-size", batch_size]) == 0
    classes = set()
    for seed, (name, size) in enumerate(SIZES.items()):
        written = label(tmp_path / f"out/labels/{name}.png")
        classes.update(np.unique(written))
        assert np.array_equal(written, expected(peer, picture(*size, seed))), name
    assert len(classes) > 4  # or agreement would prove little
    assert not list((tmp_path / "out").rglob("*.partial"))


@pytest.mark.parametrize(
    ("options", "asked"),
    [([], ["fp32"]), (["--dtype", "bf16"], ["bf16"]), (["--no-optimise"], [])],
    ids=str,
)
def test_the_network_is_optimised_unless_told_otherwise(
    predict, tmp_path, monkeypatch, options, asked
):
    types, real = [], predict_module.optimise

    def noted(model, *, dtype):
        types.append(dtype)
        return real(model, dtype=dtype)

    monkeypatch.setattr(predict_module, "optimise", noted)
    assert predict(save(tmp_path / "a.png", picture(9, 9)), options=options) == 0
    assert types == asked


def test_a_label_map_has_the_data_sets_palette_and_an_overlay_shows_it_over_the_image(
    predict, tmp_path
):
    image = picture(40, 60)
    predict(save(tmp_path / "a.png", image), options=["--opacity", "0.25"])
    written = Image.open(tmp_path / "out/labels/a.png")
    palette = np.array(get_palette("voc"))
    assert written.mode == "P"
    assert np.array_equal(np.reshape(written.getpalette(), (-1, 3))[:21], palette)
    overlay = np.asarray(Image.open(tmp_path / "out/overlays/a.png"))
    blend = 0.75 * image + 0.25 * palette[np.asarray(written)]
    assert np.abs(overlay - blend).max() <= 1


def test_overlays_can_be_left_out(predict, tmp_path):
    predict(save(tmp_path / "a.png", picture(9, 9)), options=["--no-overlay"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labels"]


def test_the_palette_of_the_config_counts_where_the_checkpoint_has_none(predict, net, tmp_path):
    weights = torch.load(net.pth, weights_only=True)["state_dict"]
    torch.save({"state_dict": weights}, tmp_path / "bare.pth")
    colours = [[number, 0, 200] for number in range(21)]
    lines = f"\ntest_dataloader['dataset']['metainfo'] = dict(palette={colours})\n"
    config = tmp_path / "net.py"
    config.write_text(net.config.read_text() + lines)
    image = save(tmp_path / "a.png", picture(9, 9))
    predict(image, config=config, weights=tmp_path / "bare.pth")
    palette = Image.open(tmp_path / "out/labels/a.png").getpalette()
    assert np.reshape(palette, (-1, 3))[:21].tolist() == colours


@pytest.mark.parametrize("scheme", ["tf", "tf-zoo"])
def test_tensorflows_weights_predict_the_same(predict, net, peer, tmp_path, monkeypatch, scheme):
    address = net.tf
    if scheme == "tf-zoo":
        address = "tf-zoo://mobilenetv2_dm05_coco_voc_trainaug"
        path = net.tf[len("tf://") :]
        monkeypatch.setattr(zoo, "open_entry", lambda place: open_checkpoint(path))
    image = picture(40, 60)
    assert predict(save(tmp_path / "a.png", image), weights=address) == 0
    assert np.array_equal(label(tmp_path / "out/labels/a.png"), expected(peer, image))


def encoded(image, **how):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **how)
    return buffer.getvalue()


def test_greyscale_alpha_palette_and_16_bits_are_predicted_as_what_they_show(
    predict, peer, tmp_path
):
    image = picture(40, 60)
    rgb = Image.fromarray(image)
    translucent = rgb.copy()
    translucent.putalpha(90)
    grey, reduced = rgb.convert("L"), rgb.quantize(16)
    files = {
        "grey": (grey, np.asarray(grey.convert("RGB"))),
        "grey_alpha": (grey.convert("LA"), np.asarray(grey.convert("RGB"))),
        "alpha": (translucent, image),
        "palette": (reduced, np.asarray(reduced.convert("RGB"))),
        "grey16": (
            Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
            np.asarray(grey.convert("RGB")),
        ),
    }
    for name, (shown, _) in files.items():
        save(tmp_path / f"in/{name}.png", shown)
    mmcv.imwrite(image[..., ::-1].astype(np.uint16) * 257, str(tmp_path / "in/rgb16.png"))
    save(tmp_path / "in/cmyk.jpg", rgb.convert("CMYK"), quality=100)
    assert predict(tmp_path / "in") == 0
    for name, (_, wanted) in {**files, "rgb16": (None, image)}.items():
        written = label(tmp_path / f"out/labels/{name}.png")
        assert np.array_equal(written, expected(peer, wanted)), name
    cmyk = label(tmp_path / "out/labels/cmyk.png")
    assert (cmyk == expected(peer, image)).mean() > 0.95  # two conversions and a lossy format


def test_a_photo_is_predicted_in_the_orientation_in_which_viewers_show_it(predict, peer, tmp_path):
    upright = save(tmp_path / "in/upright.jpg", picture(40, 60), quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    turned = save(tmp_path / "in/turned.jpg", picture(40, 60), quality=95, exif=exif.tobytes())
    assert predict(tmp_path / "in") == 0
    shown = np.rot90(mmcv.imread(str(upright), channel_order="rgb"), -1)
    assert label(tmp_path / "out/labels/turned.png").shape == (60, 40)
    assert np.array_equal(label(tmp_path / "out/labels/turned.png"), expected(peer, shown))
    assert Image.open(tmp_path / "out/overlays/turned.png").size == (40, 60)
    assert Image.open(turned).size == (60, 40)


def test_files_that_cannot_be_read_are_reported_at_the_end_and_the_rest_is_predicted(
    call, net, photos, tmp_path
):
    (photos / "text.jpg").write_text("no image")
    (photos / "empty.jpg").touch()
    cut = encoded(picture(60, 60), format="JPEG")
    (photos / "cut.jpg").write_bytes(cut[: len(cut) * 2 // 3])
    command = (net.config, net.pth, photos, "--out", "out", "--device", "cpu")
    process = call(TOOLS / "predict.py", *command, cwd=tmp_path)
    assert process.returncode == 1
    assert len(list((tmp_path / "out/labels").rglob("*.png"))) == len(SIZES)
    report = process.stderr.splitlines()[-4:]
    assert report[0] == "not predicted: 3 of 9 images"
    assert report[1:] == [
        f"  {photos / 'cut.jpg'}: the JPEG file is cut off",
        f"  {photos / 'empty.jpg'}: the file is empty",
        f"  {photos / 'text.jpg'}: damaged, or no format that OpenCV reads",
    ]
    assert "predicting: 100 % (9 of 9 images)" in process.stderr
    assert f"predicted: {len(SIZES)} of 9 images in" in process.stdout
    assert "images/s on cpu), written to out/labels, out/overlays" in process.stdout


def test_existing_files_are_overwritten_only_when_asked(predict, tmp_path):
    image = save(tmp_path / "a.png", picture(9, 9))
    mine = tmp_path / "out/overlays/a.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(PredictionError, match="1 of 2 files .* exist already: .*--skip.*--force"):
        predict(image)
    assert mine.read_text() == "mine"
    assert not (tmp_path / "out/labels").exists()
    assert predict(image, options=["--force"]) == 0
    assert Image.open(mine).size == (9, 9)


def test_an_output_folder_that_cannot_be_written_to_is_an_error_before_the_work(predict, tmp_path):
    image = save(tmp_path / "a.png", picture(9, 9))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be written(.|\n)*--out .*file/labels"):
        predict(image, out=tmp_path / "file")


def test_images_that_do_not_exist_are_an_error_before_the_work(predict, tmp_path):
    image = save(tmp_path / "a.png", picture(9, 9))
    with pytest.raises(PredictionError, match="absent.png: no such file"):
        predict(image, tmp_path / "absent.png")
    assert not (tmp_path / "out").exists()


def test_an_empty_list_of_images_is_a_usage_error(main, net, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(net.config), str(net.pth), "--out", "out"])
    assert caught.value.code == 2
    assert "images" in capsys.readouterr().err


def _drop(weights):
    del weights["decode_head.conv_seg.bias"]


def _add(weights):
    weights["decode_head.extra.weight"] = torch.zeros(1)


def _reshape(weights):
    weights["decode_head.conv_seg.bias"] = torch.zeros(7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop, "1 missing in the file: decode_head.conv_seg.bias"),
        (_add, "1 left over in the file: decode_head.extra.weight"),
        (_reshape, r"1 of another shape: decode_head.conv_seg.bias \[7\] in the file, \[21\]"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_an_error_that_names_what_does_not(
    predict, net, tmp_path, change, message
):
    loaded = torch.load(net.pth, weights_only=True)
    change(loaded["state_dict"])
    torch.save(loaded, tmp_path / "other.pth")
    with pytest.raises(CheckpointMismatchError, match=message):
        predict(save(tmp_path / "a.png", picture(9, 9)), weights=tmp_path / "other.pth")
    assert not (tmp_path / "out").exists()


def test_tensorflow_weights_without_the_last_layer_do_not_fit(predict, net, tmp_path):
    image = save(tmp_path / "a.png", picture(9, 9))
    with pytest.raises(
        CheckpointMismatchError, match="2 missing in the file: decode_head.conv_seg"
    ):
        predict(image, weights=f"{net.tf}?drop_logits=true")


def test_weights_of_several_gpus_and_of_a_training_head_fit(predict, net, peer, tmp_path):
    loaded = torch.load(net.pth, weights_only=True)
    weights = {f"module.{name}": value for name, value in loaded["state_dict"].items()}
    weights["module.auxiliary_head.conv_seg.bias"] = torch.zeros(21)
    torch.save({**loaded, "state_dict": weights}, tmp_path / "wrapped.pth")
    image = picture(40, 60)
    predict(save(tmp_path / "a.png", image), weights=tmp_path / "wrapped.pth")
    assert np.array_equal(label(tmp_path / "out/labels/a.png"), expected(peer, image))


def test_a_checkpoint_that_is_none_is_an_error(predict, tmp_path):
    image = save(tmp_path / "a.png", picture(9, 9))
    with pytest.raises(CheckpointError, match="absent.pth does not exist"):
        predict(image, weights=tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match="text.pth is no sound PyTorch file"):
        predict(image, weights=tmp_path / "text.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list, expected a dictionary"):
        predict(image, weights=tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("test_dataloader = None\ntest_pipeline = None", "has no test pipeline"),
        (
            "test_dataloader['dataset']['pipeline'] = [dict(type='LoadImageFromFile')]",
            "must start with a step that loads the image and end with PackSegInputs",
        ),
    ],
)
def test_a_config_without_a_test_pipeline_is_an_error(predict, net, tmp_path, lines, message):
    config = tmp_path / "net.py"
    config.write_text(f"{net.config.read_text()}\n{lines}\n")
    with pytest.raises(ConfigError, match=message):
        predict(save(tmp_path / "a.png", picture(9, 9)), config=config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size", "0"], "batch size is 0"),
        (["--amp", "--dtype", "fp16"], "pass one of them"),
        (["--opacity", "1.5"], "opacity is 1.5"),
        (["--device", "nonsense"], "--device nonsense: "),
        (["--device", "cuda:64"], "--device cuda:64: PyTorch .* sees"),
    ],
)
def test_impossible_options_are_errors_before_the_work(predict, tmp_path, options, message):
    with pytest.raises((ConfigError, PredictionError), match=message):
        predict(save(tmp_path / "a.png", picture(9, 9)), options=options)
    assert not (tmp_path / "out").exists()


def test_an_image_larger_than_the_crop_is_predicted_whole_and_said(predict, peer, tmp_path, capsys):
    large = picture(90, 140)
    save(tmp_path / "in/large.png", large)
    save(tmp_path / "in/small.png", picture(60, 60))
    assert predict(tmp_path / "in") == 0
    said = capsys.readouterr().out
    assert "larger than the config's crop of 65x65" in said
    assert f"1 of 2 images, such as {tmp_path / 'in/large.png'}" in said
    assert np.array_equal(label(tmp_path / "out/labels/large.png"), expected(peer, large))


def test_slide_moves_the_crop_over_a_large_image(predict, net, tmp_path, capsys):
    cfg = Config.fromfile(net.config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=CROP, stride=(43, 43))
    peer = init_model(cfg, str(net.pth), device="cpu")
    images = {"large": picture(90, 140), "wide": picture(50, 100, 1), "twin": picture(90, 140, 2)}
    for name, image in images.items():
        save(tmp_path / f"in/{name}.png", image)
    assert predict(tmp_path / "in", options=["--mode", "slide", "--batch-size", 2]) == 0
    for name, image in images.items():
        assert np.array_equal(label(tmp_path / f"out/labels/{name}.png"), expected(peer, image))
    printed = capsys.readouterr()
    assert "larger than" not in printed.out
    assert "(0 of 3 images, 2 of 6 windows of the next)" in printed.err


def test_resize_shrinks_a_large_image_into_the_crop_and_brings_the_logits_back(
    predict, peer, tmp_path, capsys
):
    large, small = picture(90, 140), picture(40, 60)
    save(tmp_path / "in/large.png", large)
    save(tmp_path / "in/small.png", small)
    assert predict(tmp_path / "in", options=["--mode", "resize"]) == 0
    assert "larger than" not in capsys.readouterr().out
    assert np.array_equal(label(tmp_path / "out/labels/small.png"), expected(peer, small))
    bgr = mmcv.imresize(np.ascontiguousarray(large[..., ::-1]), (65, 42), interpolation="area")
    logits = inference_model(peer, bgr).seg_logits.data[None]
    wanted = resize(logits, size=(90, 140), mode="bilinear", align_corners=True).argmax(1)[0]
    written = label(tmp_path / "out/labels/large.png")
    # The peer's logits were brought to 42x65 on the way, which is where they were already.
    assert (written == wanted.numpy()).mean() > 0.999


def test_a_mode_that_needs_a_crop_says_how_to_name_one(predict, net, tmp_path):
    config = tmp_path / "net.py"
    config.write_text(
        f"{net.config.read_text()}\nmodel['data_preprocessor'].update(size=None, test_cfg=None)\n"
    )
    image = save(tmp_path / "a.png", picture(9, 9))
    with pytest.raises(ConfigError, match="model.test_cfg.crop_size="):
        predict(image, config=config, options=["--mode", "slide"])
    crop = ["--cfg-options", "model.test_cfg.crop_size=(65,65)"]
    assert predict(image, config=config, options=["--mode", "slide", *crop]) == 0


def test_half_precision_predicts_nearly_the_same(predict, peer, tmp_path):
    image = picture(60, 60)
    assert predict(save(tmp_path / "a.png", image), options=["--amp"]) == 0
    assert (label(tmp_path / "out/labels/a.png") == expected(peer, image)).mean() > 0.9


def test_an_image_too_large_for_the_gpus_memory_is_reported_and_the_rest_of_its_batch_predicted(
    predict, peer, tmp_path, monkeypatch, capsys
):
    images = {name: picture(60, 60, seed) for seed, name in enumerate("abc")}
    images["b"] = np.zeros_like(images["b"])
    for name, image in images.items():
        save(tmp_path / f"in/{name}.png", image)
    forward = predict_module._Run._forward

    def short_of_memory(run, batch):
        if any(picture.path.stem == "b" for picture, _ in batch):
            raise torch.cuda.OutOfMemoryError("Tried to allocate 2.00 GiB")
        return forward(run, batch)

    monkeypatch.setattr(predict_module._Run, "_forward", short_of_memory)
    assert predict(tmp_path / "in", options=["--batch-size", 3]) == 1
    report = capsys.readouterr().err
    assert "b.png: too large for the memory of cpu: Tried to allocate 2.00 GiB" in report
    for name in "ac":
        written = label(tmp_path / f"out/labels/{name}.png")
        assert np.array_equal(written, expected(peer, images[name]))
    assert not (tmp_path / "out/labels/b.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not WEIGHTS.with_name("model.ckpt.index").exists(), reason=f"no trained weights in {REAL}"
)
def test_predictions_with_trained_weights_are_those_of_the_evaluation_tool(
    predict, tmp_path, monkeypatch
):
    weights, config = convert(tmp_path)
    write_voc5(tmp_path / "voc5")
    loaders = ("val_dataloader", "test_dataloader")
    data = [f"{each}.dataset.data_root={tmp_path / 'voc5'}" for each in loaders]
    monkeypatch.chdir(tmp_path)
    load_tool("test").main([str(config), str(weights), "--out", "tested", "--cfg-options", *data])
    photos = tmp_path / "voc5/JPEGImages"
    assert predict(photos, config=config, weights=weights, options=["--batch-size", 2]) == 0
    tested = sorted((tmp_path / "tested").glob("*.png"))
    assert len(tested) == 5
    for path in tested:
        assert np.array_equal(label(tmp_path / "out/labels" / path.name), label(path)), path.name
