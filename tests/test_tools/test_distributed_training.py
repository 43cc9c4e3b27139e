"""Two processes on the CPU against one, with the same images per iteration in all."""

import subprocess

import numpy as np
import pytest

from tests.test_tools.conftest import TOOLS, free_port, recorded, scalars

SCRIPTS = [
    f"{kind}_{tool}.sh" for kind in ("dist", "slurm") for tool in ("train", "test", "predict")
]


@pytest.fixture(scope="module")
def two_processes(write_config, call, tmp_path_factory):
    """The training of `uninterrupted` through tools/dist_train.sh, from another directory."""
    run = write_config("two_processes")
    result = call(
        TOOLS / "dist_train.sh",
        run.config,
        2,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        PORT=free_port(),
    )
    assert result.returncode == 0, result.stderr
    run.log = next(run.work_dir.glob("*/*.log")).read_text()
    return run


@pytest.mark.slow
def test_the_mean_loss_of_two_processes_is_the_loss_of_one(two_processes, uninterrupted):
    ranks = [recorded(two_processes, rank)[0] for rank in (0, 1)]
    means = np.mean([[line["loss"] for line in lines] for lines in ranks], axis=0)
    expected = [line["loss"] for line in recorded(uninterrupted)[0]]
    np.testing.assert_allclose(means, expected, rtol=1e-6)
    assert ranks[0][0]["loss"] != ranks[1][0]["loss"], "both processes saw the same images"


@pytest.mark.slow
def test_two_processes_share_the_images_of_one(two_processes, uninterrupted):
    first, second = (recorded(two_processes, rank)[0] for rank in (0, 1))
    for one, other, expected in zip(first, second, recorded(uninterrupted)[0]):
        assert len(one["images"]) == len(other["images"]) == 2
        assert sorted(one["images"] + other["images"]) == sorted(expected["images"])


@pytest.mark.slow
def test_the_trained_parameters_are_the_same_in_both_processes(two_processes):
    (_, first), (_, second) = (recorded(two_processes, rank) for rank in (0, 1))
    assert first["parameters"] == second["parameters"]
    assert first["model"] == "MMDistributedDataParallel"
    assert first["world"] == second["world"] == 2


@pytest.mark.slow
def test_what_was_changed_for_the_cpu_is_in_the_log(two_processes):
    assert "global_batch_size=4 over 2 process(es): train_dataloader.batch_size=2" in (
        two_processes.log
    )
    assert "sync_bn='torch' is dropped" in two_processes.log


@pytest.mark.slow
def test_a_checkpoint_with_statistics_of_its_own_processes_gets_the_logged_scores(
    write_config, call, tmp_path
):
    run = write_config(
        "own_statistics",
        "custom_hooks = custom_hooks[:1]",
        'norm_cfg = dict(type="SyncBN", momentum=0.5)',
        'model["backbone"]["norm_cfg"] = model["decode_head"]["norm_cfg"] = norm_cfg',
        'optim_wrapper["optimizer"]["lr"] = 0.0005',
        "train_cfg = dict(max_iters=4, val_interval=4)",
    )
    result = call(TOOLS / "dist_train.sh", run.config, 2, PORT=free_port())
    assert result.returncode == 0, result.stderr
    assert "norm layers of type SyncBN become BN" in next(run.work_dir.glob("*/*.log")).read_text()
    checkpoint = run.work_dir / "iter_4.pth"
    result = call(TOOLS / "test.py", run.config, checkpoint, "--work-dir", tmp_path)
    assert result.returncode == 0, result.stderr
    for key in ("mIoU", "aAcc"):
        assert scalars(tmp_path, key) == scalars(run.work_dir, key)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_without_arguments_says_how_to_use_it(script, call):
    result = call(TOOLS / script)
    assert result.returncode == 2
    assert f"Usage: tools/{script}" in result.stderr


@pytest.mark.parametrize("gpus", ["0", "-1", "two", "--amp"])
def test_a_number_of_processes_that_is_none_is_a_usage_error(gpus, call):
    assert call(TOOLS / "dist_train.sh", "config.py", gpus).returncode == 2
    for script in ("dist_test.sh", "dist_predict.sh"):
        assert call(TOOLS / script, "config.py", "file.pth", gpus).returncode == 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_as_it_is(script):
    subprocess.run(["bash", "-n", str(TOOLS / script)], check=True)
    assert (TOOLS / script).stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("dist_train.sh", ["my config.py"]),
        ("dist_test.sh", ["my config.py", "a file.pth"]),
        ("dist_predict.sh", ["my config.py", "a file.pth"]),
    ],
)
def test_a_script_tells_torchrun_of_several_machines_and_passes_arguments_on(
    script, arguments, call, tmp_path
):
    stub = tmp_path / "python"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    machines = {"NNODES": "3", "NODE_RANK": "1", "MASTER_ADDR": "node7", "PORT": "29544"}
    more = ["--cfg-options", 'crop="[(1, 2)]"']
    result = call(TOOLS / script, *arguments, 4, *more, PYTHON=str(stub), **machines)
    told = "-m|torch.distributed.run|--nnodes=3|--node_rank=1|--master_addr=node7"
    told += "|--master_port=29544|--nproc_per_node=4"
    tool = str(TOOLS / script.replace("dist_", "").replace(".sh", ".py"))
    expected = [*told.split("|"), tool, *arguments, "--launcher", "pytorch", *more]
    assert result.stdout.splitlines() == expected
