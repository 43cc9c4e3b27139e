"""tools/slurm_*.sh with a stub of srun that writes down its options and runs the tasks."""

import json
import os

import pytest

from tests.test_tools.conftest import TOOLS, free_port, recorded, scalars


@pytest.fixture(scope="module")
def slurm(call, slurm_stubs, tmp_path_factory):
    """Run a script with the stubs first on PATH; returns srun's options."""
    folder = tmp_path_factory.mktemp("slurm")

    def run(script, *arguments, **environment):
        record = folder / "options.json"
        result = call(
            TOOLS / script,
            *arguments,
            cwd=folder,
            PATH=f"{slurm_stubs}:{os.environ['PATH']}",
            SRUN_RECORD=str(record),
            MASTER_PORT=free_port(),
            **environment,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(record.read_text())

    return run


@pytest.fixture(scope="module")
def trained(slurm, write_config):
    """Two tasks that train for two iterations, and what srun was told."""
    run = write_config("slurm", "train_cfg = dict(max_iters=2, val_interval=2)")
    run.options = slurm(
        "slurm_train.sh",
        "gpu part",
        "my job",
        run.config,
        "--cfg-options",
        "default_hooks.checkpoint.interval=2",
        GPUS="2",
        GPUS_PER_NODE="2",
        CPUS_PER_TASK="3",
        SRUN_ARGS="--time=10 --quiet",
    )
    return run


@pytest.mark.slow
def test_srun_is_told_what_the_environment_says(trained):
    expected = "-p|gpu part|--job-name=my job|--gres=gpu:2|--ntasks=2|--ntasks-per-node=2"
    expected += "|--cpus-per-task=3|--kill-on-bad-exit=1|--time=10|--quiet"
    assert trained.options == expected.split("|")


@pytest.mark.slow
def test_two_tasks_train_one_model(trained):
    (first, end), (second, other_end) = (recorded(trained, rank) for rank in (0, 1))
    assert end == other_end
    assert end["world"] == 2
    assert not set(first[0]["images"]) & set(second[0]["images"])


@pytest.mark.slow
def test_one_task_tests_what_two_have_trained(trained, slurm, tmp_path):
    checkpoint = trained.work_dir / "iter_2.pth"
    arguments = ("part", "job", trained.config, checkpoint, "--work-dir", tmp_path)
    options = slurm("slurm_test.sh", *arguments, GPUS="1")
    expected = "-p|part|--job-name=job|--gres=gpu:1|--ntasks=1|--ntasks-per-node=1"
    assert options == [*expected.split("|"), "--cpus-per-task=5", "--kill-on-bad-exit=1"]
    assert scalars(tmp_path, "mIoU") == scalars(trained.work_dir, "mIoU")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "--gres=gpu:4|--ntasks=4|--ntasks-per-node=4"),
        ({"GPUS": "8"}, "--gres=gpu:4|--ntasks=8|--ntasks-per-node=4"),
        ({"GPUS": "2"}, "--gres=gpu:2|--ntasks=2|--ntasks-per-node=2"),
        ({"GPUS": "2", "GRES": ""}, "--ntasks=2|--ntasks-per-node=2"),
        ({"GRES": "gpu:a100:4"}, "--gres=gpu:a100:4|--ntasks=4|--ntasks-per-node=4"),
    ],
)
@pytest.mark.parametrize("script", ["slurm_train.sh", "slurm_test.sh", "slurm_predict.sh"])
def test_what_is_reserved_follows_from_the_number_of_processes(
    slurm, script, environment, expected
):
    options = slurm(script, "part", "job", "config.py", "file.pth", PYTHON="true", **environment)
    assert options[3:-2] == expected.split("|")
