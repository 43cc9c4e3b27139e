"""MMEngine's schedulers give TensorFlow DeepLab's learning rates, iteration by iteration."""

import pytest
import torch
from mmengine import optim

from tests.support.training_goldens import golden

GOLDEN = golden("aux_learning_rate")
BASE = 0.007
SLOW = 1e-4  # slow_start_learning_rate


def poly(*, begin=0, steps=30000, eta_min=0.0):
    return dict(
        type="PolyLR", power=0.9, eta_min=eta_min, begin=begin, end=steps + 1, by_epoch=False
    )


def slow_start(kind, key, steps=500):
    return {"type": kind, key: SLOW / BASE, "begin": 0, "end": steps + 1, "by_epoch": False}


# Case of the golden file -> param_scheduler.
CASES = {
    "poly_30000_0.007": [poly()],
    "poly_30000_0.007_slow500": [slow_start("ConstantLR", "factor"), poly(begin=500)],
    "poly_30000_slowlinear500": [slow_start("LinearLR", "start_factor"), poly(begin=500)],
    "poly_30000_0.007_end1e-5_decay20000": [poly(steps=20000, eta_min=1e-5)],
}


def rates(schedulers, *, multiples=(1,), steps):
    """Rates of parameter groups at steps, the last of which ends the run."""
    groups = [
        dict(params=[torch.zeros(1, requires_grad=True)], lr=BASE * factor) for factor in multiples
    ]
    optimizer = torch.optim.SGD(groups, lr=BASE)
    built = [
        getattr(optim, cfg["type"])(optimizer, **{k: v for k, v in cfg.items() if k != "type"})
        for cfg in schedulers
    ]
    optimizer.step()
    found = {}
    for step in range(max(steps) + 1):
        if step in steps:
            found[step] = [group["lr"] for group in optimizer.param_groups]
        for scheduler in built:
            scheduler.step()
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_rate_is_tensorflows_at_every_step_of_the_golden_file(case):
    steps = GOLDEN["steps"].tolist()
    found = rates(CASES[case], steps=set(steps))
    for step, expected in zip(steps, GOLDEN[f"lr_{case}"]):
        # TensorFlow computes 1 - step / steps in float32: near the end that alone is 6e-8.
        tolerance = dict(rel=1e-6, abs=1e-7 * BASE)
        assert found[step][0] == pytest.approx(float(expected), **tolerance), step


@pytest.mark.parametrize("case", ["poly_30000_0.007", "poly_30000_0.007_slow500"])
def test_biases_and_last_layers_keep_their_multiple_of_the_rate(case):
    found = rates(CASES[case], multiples=(1, 2, 10, 20), steps={0, 499, 500, 10000, 29999})
    for step, (base, *others) in found.items():
        assert others == pytest.approx([2 * base, 10 * base, 20 * base], rel=1e-9), step
