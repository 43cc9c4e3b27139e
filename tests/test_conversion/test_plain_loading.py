"""A .pth is data: what Runners write loads, and what would run code does not, by any loader."""

from __future__ import annotations

import copyreg
import io
import json
import tarfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, checkpoint

from mmseg_deeplab_ext.conversion import plain_loading
from mmseg_deeplab_ext.conversion.plain_loading import (
    load_plain,
    trust_checkpoints,
    use_plain_loaders,
)
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError
from tests.data.make_compatibility import ARCHIVE
from tests.support.attacks import RunsCode
from tests.support.file_server import serve


class Numbers(torch.utils.data.Dataset):
    # Nested, as it comes out of a config.
    extra = Config(dict(extra=dict(depth=dict(unit="m"), sizes=[dict(a=1)]))).extra
    metainfo = dict(classes=("a", "b"), palette=np.zeros((2, 3), np.uint8), extra=extra)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((2,), float(index))


class Linear(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, *inputs, mode="tensor"):
        output = self.linear(torch.stack(inputs))
        return dict(loss=output.sum()) if mode == "loss" else list(output)


class Scores(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(mIoU=np.float32(12.5), aAcc=np.float64(3), loss=torch.tensor(2.0))


class LossScale(Hook):
    """AMP's part of a checkpoint, which MMEngine writes on GPUs only."""

    def before_save_checkpoint(self, runner, checkpoint):
        if "optimizer" in checkpoint:  # not in the best one
            checkpoint["optimizer"]["loss_scaler"] = torch.amp.GradScaler("cpu").state_dict()


def loader(sampler):
    return dict(dataset=Numbers(), batch_size=2, sampler=dict(type=sampler))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkpoint of the Runner of the stack at hand, with all that real ones hold."""
    folder = tmp_path_factory.mktemp("training")
    Runner(
        Linear(),
        str(folder),
        train_dataloader=loader("InfiniteSampler"),
        val_dataloader=loader("DefaultSampler"),
        val_evaluator=[Scores()],
        train_cfg=dict(by_epoch=False, max_iters=2, val_interval=1),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.1)),
        param_scheduler=[
            dict(type="PolyLR", end=4, by_epoch=False),
            dict(type="MultiStepLR", milestones=[1], by_epoch=False),
            dict(type="OneCycleLR", eta_max=0.1, total_steps=4, by_epoch=False),
        ],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1, save_best="mIoU"),
        ),
        custom_hooks=[dict(type="EMAHook"), LossScale()],
        log_processor=dict(by_epoch=False),
        experiment_name=folder.name,
    ).train()
    return folder / "iter_2.pth"


@pytest.fixture(params=["PyTorch's reader", "ours"])
def reader(request, monkeypatch):
    safe_from = {"PyTorch's reader": "2.6.0", "ours": "99.0.0"}[request.param]
    monkeypatch.setattr(plain_loading, "SAFE_TORCH", safe_from)


@pytest.fixture
def older(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        (tmp_path / "older.pth").write_bytes(archive.extractfile("trained.pth").read())
    return tmp_path / "older.pth"


def plain(value):
    """A checkpoint's content, comparable and with all types visible."""
    if hasattr(value, "_log_history"):
        return [value.max_length, *map(plain, value.data)]
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(type(value)), repr(value)


def load(path):
    return load_plain(str(path), "cpu", source=str(path))


def saved(content, path, **options):
    torch.save(content, path, **options)
    return path


def test_what_the_runner_writes_is_read_as_it_was(written, reader):
    content = load(written)
    everything = torch.load(written, weights_only=False)
    assert {"ema_state_dict", "optimizer", "param_schedulers", "message_hub"} <= set(content)
    assert plain(content) == plain(everything)
    assert type(content["message_hub"]["runtime_info"]["best_score"]) is np.float32
    assert content["message_hub"]["log_scalars"]["train/loss"].mean(2) is not None
    assert content["optimizer"]["loss_scaler"]["scale"] > 1
    assert type(content["message_hub"]["log_scalars"]["train/loss"].data[0]) is np.ndarray
    extra = content["meta"]["dataset_meta"]["extra"]
    assert [type(d) for d in (extra, extra["depth"], extra["sizes"][0])] == [dict] * 3


def test_what_an_older_version_wrote_is_read_as_it_was(older, reader):
    assert plain(load(older)) == plain(torch.load(older, weights_only=False))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_kind_are_read_in_both_formats(tmp_path, reader, zipped):
    base = torch.arange(12.0).reshape(3, 4)
    content = {
        "views": [base, base.t(), base[1:, 2], base[:0]],
        "parameter": torch.nn.Parameter(base),
        "types": [base.to(dtype) for dtype in (torch.half, torch.bfloat16, torch.int64)],
        "scalar": torch.tensor(True),
        "plain": [b"bytes", {1, 2}, torch.float32, torch.Size([2]), 2**70, None, (1.5, "a")],
    }
    path = saved(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert plain(load(path)) == plain(content)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run_and_what_the_file_holds_is_named_with_its_place(tmp_path, reader, zipped):
    content = {"state_dict": {}, "meta": {"cfg": RunsCode(tmp_path / "ran")}}
    path = saved(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    message = r"a\.pth holds more .*: builtins\.exec \(after 'cfg'\)\. .*--trust-checkpoint"
    with pytest.raises(CheckpointUnsupportedError, match=message):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_torchscript_which_is_code_is_named(tmp_path, reader):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.pth"))
    with pytest.raises(CheckpointUnsupportedError, match=r"__torch__\.torch\.nn\.modules\.linear"):
        load(tmp_path / "script.pth")


RECONSTRUCT, SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]


class Finds:
    """Pickles as the call of an allowed name, with arguments of the file's choice."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) + ((state,) if state else ())

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (Finds(getattr, torch.Size, "count"), "names 'count' of"),
        (Finds(np.dtype, "O8", False, True), "NumPy values of type 'O8'"),
    ],
)
def test_allowed_names_are_given_no_other_use(tmp_path, reader, attack, message):
    path = saved({"a": attack}, tmp_path / "a.pth")
    use_plain_loaders()
    with pytest.raises(CheckpointFormatError, match=message):
        CheckpointLoader.load_checkpoint(str(path), logger="silent")


class New(Finds):
    """As :class:`Finds`, by the instruction that makes instances."""

    __class__ = property(lambda self: self.call[0])  # pickle writes it for none but its own class

    def __reduce__(self):
        function, arguments = self.call
        return copyreg.__newobj__, (function, *arguments)


POINTER = ((1,), "O", b"\x08" * 8)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "attack",
    [
        Finds(np.ndarray, *POINTER),
        Finds(RECONSTRUCT, np.ndarray, (1,), b"O"),
        Finds(RECONSTRUCT, np.ndarray, *POINTER),
    ],
)
def test_no_array_of_a_files_pointers_is_made(tmp_path, reader, attack, zipped):
    path = saved({"a": attack}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    array = load(path)["a"]
    assert (type(array), array.dtype, array.shape) == (np.ndarray, np.int8, (0,))


@pytest.mark.parametrize(
    "attack",
    [
        New(np.ndarray, *POINTER),
        Finds(SCALAR, np.dtype("O"), b"\x08" * 8),
        Finds(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), np.dtype("O"), False, [1])),
        Finds(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2,), np.dtype("d"), False, b"8")),
    ],
)
def test_numpy_values_are_plain_and_whole(tmp_path, reader, attack):
    path = saved({"a": attack}, tmp_path / "a.pth")
    use_plain_loaders()
    with pytest.raises(CheckpointFormatError, match="no numbers|buffer size|NEWOBJ|not a type"):
        CheckpointLoader.load_checkpoint(str(path), logger="silent")


@pytest.mark.parametrize(
    "arguments", [(0, (100,), (1,)), (-1, (2,), (1,)), (0, (2,), (100,)), (0, (2, 2), (1,))]
)
def test_a_tensor_that_is_larger_than_its_storage_is_refused(
    tmp_path, reader, monkeypatch, arguments
):
    class Tensor:
        def __reduce__(self):
            storage = torch.zeros(4).storage()
            return torch._utils._rebuild_tensor_v2, (storage, *arguments, False, {})

    monkeypatch.setattr(plain_loading, "SAFE_TORCH", "99.0.0")
    path = saved({"a": Tensor()}, tmp_path / "a.pth")
    with pytest.raises(Exception, match="a tensor of size"):
        load(path)


def test_other_lists_of_what_may_be_loaded_do_not_count(tmp_path, reader):
    before = torch.serialization.get_safe_globals()
    path = saved({"a": RunsCode(tmp_path / "ran")}, tmp_path / "a.pth")
    with torch.serialization.safe_globals([exec]):
        with pytest.raises(CheckpointUnsupportedError):
            load(path)
        assert exec in torch.serialization.get_safe_globals()
    assert set(torch.serialization.get_safe_globals()) == set(before)
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty folders in place of PyTorch's and MMEngine's caches."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("MMENGINE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "address",
    [
        "{file}",
        "http://127.0.0.1:{port}/a.pth",
        "torchvision://net",
        "openmmlab://net",
        "mmcls://n",
    ],
)
def test_every_loader_of_mmengine_reads_plain_data_only(cache, monkeypatch, address):
    buffer = io.BytesIO()
    torch.save({"state_dict": {}, "hook": RunsCode(cache / "ran")}, buffer)
    (cache / "a.pth").write_bytes(buffer.getvalue())
    use_plain_loaders()
    original = torch.load
    with serve() as server:
        server.files["a.pth"] = buffer.getvalue()
        monkeypatch.setattr(
            checkpoint, "get_torchvision_models", lambda: {"net": server.url("a.pth")}
        )
        monkeypatch.setattr(checkpoint, "get_mmcls_models", lambda: {"n": server.url("a.pth")})
        (cache / "open_mmlab.json").write_text(json.dumps({"net": "a.pth"}))
        name = address.format(file=cache / "a.pth", port=server.port)
        with pytest.raises(CheckpointUnsupportedError, match=f"^{name} holds .* builtins.exec"):
            CheckpointLoader.load_checkpoint(name, logger="silent")
    assert not (cache / "ran").exists()
    assert torch.load is original


def test_who_trusts_a_file_gets_what_it_holds(tmp_path):
    path = saved({"state_dict": {}, "hook": RunsCode(tmp_path / "ran")}, tmp_path / "a.pth")
    trust_checkpoints(True)
    try:
        with pytest.raises(ValueError, match="the code ran"):
            load(path)
    finally:
        trust_checkpoints(False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"a.b": float("nan")}, {"state_dict": {"a.b": float("inf")}}])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, content):
    content = {
        key: {"a.b": torch.tensor(value["a.b"])} if key == "state_dict" else torch.tensor(value)
        for key, value in content.items()
    }
    path = saved(content, tmp_path / "a.pth")
    use_plain_loaders()
    with pytest.raises(
        CheckpointFormatError, match=r"a\.pth holds .* not finite .* 1 weights: a.b"
    ):
        CheckpointLoader.load_checkpoint(str(path), logger="silent")


def test_masks_of_minus_infinity_are_no_divergence_and_such_weights_are(tmp_path):
    mask = torch.tensor([0.0, -float("inf")])
    use_plain_loaders()
    for name, value in [("a.weight", mask), ("bn.running_mean", mask), ("mask", mask * 0)]:
        path = saved({"mask": mask, name: value}, tmp_path / "a.pth")
        with pytest.raises(CheckpointFormatError, match=f"in 1 weights: {name}"):
            CheckpointLoader.load_checkpoint(str(path), logger="silent")
    path = saved({"mask": mask}, tmp_path / "a.pth")
    assert CheckpointLoader.load_checkpoint(str(path), logger="silent")["mask"].equal(mask)
