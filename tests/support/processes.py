"""Fresh interpreters: what is true only right after a start can be tested only there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def run_command(*command, cwd, code=0, timeout=300, **environment):
    """Run a command and demand an exit code; a ``.py`` file runs with this interpreter.

    Returns:
        The finished process, with ``stdout`` and ``stderr`` as text.
    """
    command = [str(part) for part in command]
    if command[0].endswith(".py"):
        command.insert(0, sys.executable)
    process = subprocess.run(
        command,
        cwd=str(cwd),
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert process.returncode == code, (
        f"{' '.join(command)} ended with {process.returncode}, not {code}\n"
        f"--- stdout\n{process.stdout}\n--- stderr\n{process.stderr}"
    )
    return process


def run_python(source, *, cwd, **options):
    """Run indented source in a fresh interpreter, as `run_command` runs commands."""
    return run_command(sys.executable, "-c", textwrap.dedent(source), cwd=cwd, **options)
