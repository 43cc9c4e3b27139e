#!/usr/bin/env bash
# Make a virtual environment with one of the two MMSegmentation stacks and this package (editable).
# The Makefile calls it; an environment that is ready is left as it is.
set -euo pipefail

usage="usage: tools/make_env.sh onedl|openmmlab FOLDER   (PYTHON=python3.11 chooses the interpreter)"
stack=${1:?$usage}
venv=${2:?$usage}
python=${PYTHON:-python3}
torch_version=2.13.0
root=$(cd "$(dirname "$0")/.." && pwd)
case $stack in onedl | openmmlab) ;; *) echo "unknown stack '$stack'; $usage" >&2; exit 2 ;; esac

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "$("$python" --version) is too old for torch $torch_version and the OneDL stack:" \
        "use Python 3.10 or newer, for example PYTHON=python3.11 make demo" >&2
    exit 2
fi
# Ready means: finished, and set up for this version of the requirements.
stamp="$venv/.ready"
wanted=$(cat "$root/setup.py" "$0" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -f "$stamp"

echo "== $stack environment in $venv"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

install_torch() {
    if "$venv/bin/python" -c 'import torch' 2>/dev/null; then return; fi
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
        pip install "torch==$torch_version"
        return
    fi
    # No GPU: a CPU build, from pip's own sources if they have one, else from PyTorch's CPU index,
    # else the default build (several GB larger, works as well).
    pip install --quiet "torch==$torch_version+cpu" 2>/dev/null ||
        pip install "torch==$torch_version+cpu" --extra-index-url https://download.pytorch.org/whl/cpu ||
        pip install "torch==$torch_version"
}

echo "-- torch $torch_version"
install_torch
echo "-- $stack and this package"
if [ "$stack" = openmmlab ]; then
    # pkg_resources, which mmcv's build and mmengine need, is gone in setuptools 82. mmcv compiles
    # its operators against the installed torch (10 to 25 minutes on 2 cores, then cached by pip).
    pip install --quiet "setuptools>=77.0.3,<82" wheel ninja psutil
    MAX_JOBS=${MAX_JOBS:-$(nproc)} pip install --no-build-isolation "mmcv==2.1.0"
    pip install --quiet --no-build-isolation -e "$root[openmmlab,test,dev]" \
        "mmengine==0.10.7" "mmsegmentation==1.2.2"
else
    pip install --quiet -e "$root[onedl,test,dev]" \
        "onedl-mmengine==0.10.12" "onedl-mmcv==2.3.6" "onedl-mmsegmentation==1.4.2"
fi
"$venv/bin/python" -m mmseg_deeplab_ext check
echo "$wanted" > "$stamp"
