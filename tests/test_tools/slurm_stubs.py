"""Stand-ins for two commands of Slurm on one machine."""

import sys

# Everything after the options is the command; a real srun starts it once per task.
SRUN = f"""#!{sys.executable}
import json, os, subprocess, sys

options, command = [], sys.argv[1:]
while command[0].startswith("-"):
    options.append(command.pop(0))
    if options[-1] == "-p":
        options.append(command.pop(0))
with open(os.environ["SRUN_RECORD"], "w") as file:
    json.dump(options, file)
tasks = int(next(o for o in options if o.startswith("--ntasks=")).split("=")[1])
environment = dict(os.environ, SLURM_NTASKS=str(tasks), SLURM_NODELIST="node[1]")
processes = [
    subprocess.Popen(
        command, env=dict(environment, SLURM_PROCID=str(task), SLURM_LOCALID=str(task))
    )
    for task in range(tasks)
]
sys.exit(max(process.wait() for process in processes))
"""
SCONTROL = """#!/bin/sh
[ "$*" = "show hostnames node[1]" ] && echo 127.0.0.1
"""
