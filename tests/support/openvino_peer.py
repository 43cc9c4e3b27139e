"""OpenVINO, for the Python that the variable DEEPLAB_OPENVINO_PYTHON names.

python -m tests.support.openvino_peer MODEL.onnx INPUTS.npz OUTPUTS.npz
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from tests.support.processes import run_command

REPO = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("DEEPLAB_OPENVINO_PYTHON")


def run_with_openvino(model: Path, inputs: dict[str, np.ndarray]) -> dict[str, dict]:
    """The outputs by name, for each of the named inputs of a file that has a single one."""
    source, results = model.with_suffix(".inputs.npz"), model.with_suffix(".outputs.npz")
    np.savez(source, **inputs)
    command = (PYTHON, "-m", "tests.support.openvino_peer", model, source, results)
    run_command(*command, cwd=REPO)
    outputs: dict[str, dict] = {name: {} for name in inputs}
    with np.load(results) as arrays:
        for key in arrays.files:
            name, _, output = key.partition(":")
            outputs[name][output] = arrays[key]
    return outputs


def _run(model: str, inputs: str, results: str) -> None:
    import openvino

    # Without it processors that compute in bfloat16 do so.
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", precision)
    with np.load(inputs) as arrays:
        outputs = {
            f"{name}:{output.any_name}": value
            for name in arrays.files
            for output, value in compiled([arrays[name]]).items()
        }
    np.savez(results, **outputs)


if __name__ == "__main__":
    _run(*sys.argv[1:])
