# The two commands of the README: `make demo` and `make test`. The others are for developers: style
# (check), what the tests reach (coverage), the checkpoint reader on every Python there is
# (test-reader), what we write and read against TensorFlow itself (test-tensorflow; TensorFlow 2.15
# needs Python 3.9 to 3.11), image files with OpenCV 4, which reads more than is there
# (test-opencv4), exported files in OpenVINO (test-openvino; Python 3.10 and newer), and networks of
# timm and torchvision as backbones (test-classifiers).
# STACK=onedl (default) or openmmlab; PYTHON=python3.11 chooses the interpreter.

STACK ?= onedl
PYTHON ?= python3
VENV := .venv-$(STACK)
RUN := $(VENV)/bin/python
DEMO := work_dirs/demo
DEMO_CONFIG := configs/deeplabv3plus_r18beta_demo.py
# Percent. The demo reaches about 75; less than this means that something is wrong.
DEMO_MIOU := 60
# Processes that run the tests, each with one thread; each takes up to 3 GB of memory.
WORKERS ?= 2

# Threads that wait without spinning: as fast on a quiet machine, several times faster on a busy one.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test coverage test-reader test-tensorflow test-opencv4 test-openvino test-classifiers \
    check env

demo: $(DEMO)/evaluated
	@$(RUN) tools/contact_sheet.py data/demo $(DEMO)/predictions \
	    --metrics $(DEMO)/test --at-least $(DEMO_MIOU)

data/demo/demo.json: | env
	$(RUN) tools/make_demo_dataset.py data/demo

# --resume: an interrupted training goes on from its last checkpoint. A finished one is older than
# its recipe if the config or one of its bases has changed since: it moves aside, under the time at
# which it was finished, and the new recipe starts in an empty folder.
RECIPE := $(DEMO_CONFIG) $(addprefix configs/,$(shell grep -o '_base_/[^"]*' $(DEMO_CONFIG)))
$(DEMO)/trained: $(RECIPE) | data/demo/demo.json
	@if [ -e $@ ]; then mv -vT $(DEMO) "$(DEMO)-$$(date -r $@ +%Y%m%d_%H%M%S)"; fi
	$(RUN) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO) --resume
	@touch $@

$(DEMO)/evaluated: $(DEMO)/trained
	$(RUN) tools/test.py $(DEMO_CONFIG) "$$(cat $(DEMO)/last_checkpoint)" \
	    --work-dir $(DEMO)/test --out $(DEMO)/predictions
	@touch $@

# A file stays in one process, for what its tests share; tests/conftest.py says which come first.
PYTEST := -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test: env
	OMP_NUM_THREADS=1 $(RUN) $(PYTEST) $(PYTEST_ARGS)

# Lines and branches that the tests reach, in all processes.
coverage: env
	$(RUN) -m coverage erase
	OMP_NUM_THREADS=1 $(RUN) -m coverage run $(PYTEST) $(PYTEST_ARGS)
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report --skip-covered --precision 2

READER_PYTHONS ?= python3.8 python3.9 python3.10 python3.11 python3.12 python3.13
test-reader:
	@tested=; absent=; for python in $(READER_PYTHONS); do \
	    if ! $$python --version >/dev/null 2>&1; then absent="$$absent $$python"; continue; fi; \
	    echo "-- $$python"; venv=.venv-reader-$$python; \
	    if [ ! -e $$venv/.ready ]; then \
	        $$python -m venv --clear $$venv && \
	        $$venv/bin/python -m pip install -q numpy crc32c hypothesis pytest && \
	        touch $$venv/.ready || exit 1; \
	    fi; \
	    $$venv/bin/python -m pytest -q -m 'not slow' tests/test_checkpoints/test_reader*.py || exit 1; \
	    tested="$$tested $$python"; \
	done; \
	echo "tested:$${tested:- none}; absent:$${absent:- none}"; test -n "$$tested"

TENSORFLOW := .venv-tensorflow
$(TENSORFLOW)/.ready:
	$(PYTHON) -m venv --clear $(TENSORFLOW)
	$(TENSORFLOW)/bin/python -m pip install -q tensorflow-cpu==2.15.1
	@touch $@

test-tensorflow: env $(TENSORFLOW)/.ready
	DEEPLAB_TF_PYTHON=$(abspath $(TENSORFLOW)/bin/python) \
	    $(RUN) -m pytest -m tensorflow $(PYTEST_ARGS)

OPENCV4 := .venv-opencv4
$(OPENCV4)/.ready: | env
	$(RUN) -m pip install -q --no-deps --upgrade --target $(OPENCV4) \
	    opencv-python-headless==4.10.0.84
	@touch $@

test-opencv4: env $(OPENCV4)/.ready
	PYTHONPATH=$(abspath $(OPENCV4)):$$PYTHONPATH $(RUN) -m pytest -q \
	    tests/test_datasets/test_image_files.py tests/test_datasets/test_loading.py \
	    tests/test_prediction/test_preparation.py

OPENVINO := .venv-openvino
$(OPENVINO)/.ready:
	$(PYTHON) -m venv --clear $(OPENVINO)
	$(OPENVINO)/bin/python -m pip install -q openvino==2026.4.1
	@touch $@

test-openvino: env $(OPENVINO)/.ready
	DEEPLAB_OPENVINO_PYTHON=$(abspath $(OPENVINO)/bin/python) \
	    $(RUN) -m pytest tests/test_export/test_openvino.py $(PYTEST_ARGS)

CLASSIFIERS := .venv-classifiers
$(CLASSIFIERS)/.ready: | env
	$(RUN) -m pip install -q --no-deps --upgrade --target $(CLASSIFIERS) timm==1.0.31 torchvision==0.29.1
	@touch $@

# Without their dependencies: they would bring another torch.
test-classifiers: env $(CLASSIFIERS)/.ready
	DEEPLAB_CLASSIFIERS=1 PYTHONPATH=$(abspath $(CLASSIFIERS)):$$PYTHONPATH OMP_NUM_THREADS=1 \
	    $(RUN) -m pytest -q -n $(WORKERS) -p tests.support.torchvision_operators \
	    tests/test_networks/test_classifiers.py $(PYTEST_ARGS)

check: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy mmseg_deeplab_ext/checkpoints mmseg_deeplab_ext/conversion mmseg_deeplab_ext/specs

env:
	@PYTHON=$(PYTHON) tools/make_env.sh $(STACK) $(VENV)
