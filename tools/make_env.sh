#!/usr/bin/env bash
# Make a virtual environment with one of the two MMSegmentation stacks and this package (editable).
# The Makefile calls it; an environment that is ready is left as it is, a half-made one is mended.
set -euo pipefail

usage="usage: tools/make_env.sh onedl|openmmlab FOLDER   (PYTHON=python3.11 chooses the interpreter)"
stack=${1:?$usage}
venv=${2:?$usage}
python=${PYTHON:-python3}
torch_version=2.13.0
root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "error: $*" >&2; exit 2; }
case $stack in onedl | openmmlab) ;; *) fail "unknown stack '$stack'; $usage" ;; esac

command -v "$python" >/dev/null || fail "there is no $python here; PYTHON=... names another one"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    fail "$("$python" --version) is too old for torch $torch_version and the OneDL stack:" \
        "use Python 3.10 or newer, for example PYTHON=python3.11 make demo"
fi
# Ready means: finished, and set up for this version of the requirements.
stamp="$venv/.ready"
wanted=$(cat "$root/setup.py" "$0" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -f "$stamp"

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
works() { "$venv/bin/python" -c "import $1" 2>/dev/null; }

make_venv() {
    if pip --version >/dev/null 2>&1; then return; fi
    # Half made: the work was interrupted, or this Python lacks the part of venv that brings pip.
    # A folder that holds anything else is not ours to clear.
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        fail "$venv is there and is no virtual environment: remove it, or name another folder"
    fi
    "$python" -m venv --clear "$venv" ||
        fail "$python cannot make virtual environments. On Debian and Ubuntu the command" \
            "'apt install python3-venv' (as root) mends it; then run this again"
}

has_cpu_build() {
    local answer
    answer=$(pip index versions torch --timeout 15 --retries 1 "$@" 2>/dev/null) || return 1
    [[ $answer == *"$torch_version+cpu"* ]]
}

install_torch() {
    local cpu_index=https://download.pytorch.org/whl/cpu
    if works torch; then return; fi
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
        pip install "torch==$torch_version"
    # No GPU: a CPU build, from pip's own sources if they have one, else from PyTorch's CPU index.
    elif has_cpu_build; then
        pip install "torch==$torch_version+cpu"
    elif has_cpu_build --index-url "$cpu_index"; then
        pip install "torch==$torch_version+cpu" --extra-index-url "$cpu_index"
    else
        echo "-- no CPU build in reach: the default build, several GB larger, works as well"
        pip install "torch==$torch_version"
    fi
}

install_mmcv() {
    MAX_JOBS=${MAX_JOBS:-$(nproc)} pip install --no-build-isolation "mmcv==2.1.0" "$@"
}

echo "== $stack environment in $venv"
make_venv
echo "-- torch $torch_version"
install_torch
echo "-- $stack and this package"
if [ "$stack" = openmmlab ]; then
    # pkg_resources, which mmcv's build and mmengine need, is gone in setuptools 82.
    pip install "setuptools>=64,<82" wheel ninja psutil
    echo "-- mmcv compiles its operators: 10 to 25 minutes on 2 cores, unless pip's cache has them"
    install_mmcv
    if works cv2 && ! works mmcv.ops; then
        echo "-- pip's cache had an mmcv made for another torch: compiling it anew"
        install_mmcv --no-cache-dir --force-reinstall --no-deps
    fi
    pip install --no-build-isolation -e "$root[openmmlab,test,dev]" \
        "mmengine==0.10.7" "mmsegmentation==1.2.2"
else
    pip install -e "$root[onedl,test,dev]" \
        "onedl-mmengine==0.10.12" "onedl-mmcv==2.3.6" "onedl-mmsegmentation==1.4.2"
fi
"$venv/bin/python" -m mmseg_deeplab_ext check
echo "$wanted" > "$stamp"
