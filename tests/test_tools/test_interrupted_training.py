"""kill -9 in the middle of a training, then --resume."""

import signal

import pytest

from tests.test_tools.conftest import TOOLS, recorded

# Not restored by MMEngine, and off in the test's config: the state of the random generators, so
# that augmentation and dropout draw other numbers after the interruption.


@pytest.fixture(scope="module")
def resumed(write_config, call):
    """Killed after six of eight iterations, the last checkpoint being that of the fourth."""
    run = write_config("interrupted", 'custom_hooks[-1]["kill_at"] = 6')
    killed = call(TOOLS / "train.py", run.config)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run.before, _ = recorded(run)
    # Without a configured seed the order of the images depends on the one in the checkpoint.
    options = ["custom_hooks.2.kill_at=None", "randomness.seed=None"]
    again = call(TOOLS / "train.py", run.config, "--resume", "--cfg-options", *options)
    assert again.returncode == 0, again.stderr
    lines, _ = recorded(run)
    run.after = lines[len(run.before) :]
    return run


@pytest.mark.slow
def test_a_killed_training_goes_on_at_its_last_checkpoint(resumed):
    assert [line["iteration"] for line in resumed.before] == [1, 2, 3, 4, 5, 6]
    assert [line["iteration"] for line in resumed.after] == [5, 6, 7, 8]


@pytest.mark.slow
def test_images_and_learning_rates_are_those_of_an_uninterrupted_run(resumed, uninterrupted):
    expected, _ = recorded(uninterrupted)
    for key in ("images", "lr"):
        assert [line[key] for line in resumed.after] == [line[key] for line in expected[4:]]


@pytest.mark.slow
def test_the_loss_curve_goes_on_as_in_an_uninterrupted_run(resumed, uninterrupted):
    expected, _ = recorded(uninterrupted)
    losses = [line["loss"] for line in resumed.after]
    assert losses == pytest.approx([line["loss"] for line in expected[4:]], rel=1e-6)
    assert losses != pytest.approx([line["loss"] for line in expected[:4]], rel=1e-3)
