"""A ``python`` that starts in milliseconds: it forks from one that has imported the stack already.

Most of a command's time is the import of PyTorch and MMSegmentation. Here one process imports them
and then forks for every command: the fork takes over the caller's arguments, folder, environment
and standard streams, and runs the command, from the import of this package to the interpreter's
end. What is true only where nothing was imported before is tested with `processes` instead.

python warm_python.py serve SOCKET                  until it is stopped, or its standard input ends
python warm_python.py call SOCKET [ARGUMENT ...]    as ``python [ARGUMENT ...]``
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import runpy
import signal
import subprocess
import sys
from multiprocessing.connection import Client, Connection, Listener, wait
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path

# What commands import that is not of this package.
STACK = (
    *("mmengine.runner", "mmseg.apis", "mmseg.datasets", "mmseg.engine", "mmseg.evaluation"),
    *("mmseg.models", "torch._dynamo", "torch.distributed.launcher.api"),
    *("matplotlib.pyplot", "prettytable", "yapf.yapflib.yapf_api"),
)
STREAMS = (0, 1, 2)
READY = b"warm\n"
COMMAND = """\
#!/bin/sh
exec '{python}' -S -E '{file}' call '{address}' "$@"
"""


@contextlib.contextmanager
def warm_python(folder: Path):
    """Serve as long as the context lasts; yields the path of a command to use like ``python``."""
    address, command = folder / "socket", folder / "python"
    command.write_text(COMMAND.format(python=sys.executable, file=__file__, address=address))
    command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    next(line for line in server.stdout if line == READY)
    try:
        yield command
    finally:
        server.terminate()
        server.wait()
        server.stdin.close()
        server.stdout.close()


def unformatted(text: str, **options: object) -> tuple[str, bool]:
    """Stand in for yapf: half a second for each of six times that a training prints its config."""
    return text, False


def serve(address: str) -> None:
    """Fork for every call; the fork that runs its command returns."""
    for module in STACK:
        importlib.import_module(module)

    sys.modules["yapf.yapflib.yapf_api"].FormatCode = unformatted
    gc.collect()
    gc.freeze()  # what is collected never is copied never
    listener = Listener(address, backlog=16)
    os.write(1, READY)
    while True:
        if sys.stdin in wait([listener._listener._socket, sys.stdin]):
            os._exit(0)
        with listener.accept() as connection:
            if os.fork() == 0:
                return supervise(connection)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def supervise(connection: Connection) -> None:
    """Run one call in a child, which alone returns, and tell the caller how it ended."""
    call = connection.recv()
    streams = [recv_handle(connection) for _ in STREAMS]
    child = os.fork()
    if child == 0:
        connection.close()
        for stream, received in zip(STREAMS, streams):
            os.dup2(received, stream)
    for received in streams:
        os.close(received)
    if child == 0:
        return run(**call)
    connection.send(child)
    ended, status = 0, 0
    while not ended:
        if connection.poll(0.02):  # the caller was killed
            os.kill(child, signal.SIGKILL)
        ended, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(BrokenPipeError):
        connection.send(status)
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run a command in this process: a script, or what follows ``-m`` or ``-c``."""
    import numpy as np

    np.random.seed()  # elsewhere every process starts with other numbers
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    installed = [path for path in sys.path[1:] if path not in inherited]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    added = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if arguments[0] == "-u":
        del arguments[0]
        sys.stdout.reconfigure(write_through=True)
    what, sys.argv = arguments[0], arguments
    if what in ("-m", "-c"):
        sys.path[:] = [folder, *added, *installed]
        name = sys.argv.pop(1)
        if what == "-m":
            del sys.argv[0]
            sys.argv.insert(0, name)
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[:] = [str(Path(what).resolve().parent), *added, *installed]
        runpy.run_path(what, run_name="__main__")


def call(address: str, *arguments: str) -> None:
    """Have a command run; ends as the command ends."""
    with Client(address) as connection:
        connection.send(
            {"arguments": list(arguments), "folder": os.getcwd(), "environment": dict(os.environ)}
        )
        for stream in STREAMS:
            send_handle(connection, stream, None)
        child = connection.recv()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: os.kill(child, number))
        status = connection.recv()
    if os.WIFSIGNALED(status):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
