# Short names for the few things people do. `make demo` and `make test` need only Python >= 3.10 and git.
#
#   make demo    restore the bundled sample with the embedded pack and say where the picture is
#   make test    run the tests            make check   lint and type-check
#   make bench   time a restoration       make docs    build the documentation into site/
#   make fuzz    some minutes of damaged files against every reader
#   make setup   only make .venv and install into it      make dist   build the sdist and the wheel
#
# Settings: PYTHON (the interpreter to build .venv with), VENV, TORCH (what pip is asked for), and
# TORCH_INDEX (a package index of CPU builds of PyTorch; without it pip's own settings decide, and on Linux
# that may mean the CUDA build with its libraries). A TORCH that pip cannot find falls back to any torch >= 2.6.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
PYTEST_ARGS ?= -n 2

PY := $(VENV)/bin/python
SAMPLE := samples/astronaut-masked.png
OUT := out/demo

.PHONY: help setup demo test fuzz check bench docs dist clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(VENV)/.dev

$(VENV)/.base: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "$(PYTHON) is older than Python 3.10; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing; install it (on Debian and Ubuntu: python3-venv)" >&2; exit 1; }
	@echo "Installing into $(VENV); PyTorch is large, so this takes some minutes."
	$(PY) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)' \
		|| $(PY) -m pip install --quiet 'torch>=2.6'
	$(PY) -m pip install --quiet --editable .
	@# insightface asks for the OpenCV that needs a display's libraries; a machine without them gets the other one
	@$(PY) -c 'import cv2' 2>/dev/null \
		|| $(PY) -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PY) -m pip install --quiet --editable '.[dev,plots,train,web]'
	@touch $@

demo: $(VENV)/.base
	@mkdir -p $(OUT)
	@$(VENV)/bin/unmask restore $(SAMPLE) -o $(OUT)/astronaut-unmasked.png --compare --overwrite
	@echo "The restored picture is $(abspath $(OUT)/astronaut-unmasked.png)"
	@echo "Before and after:       $(abspath $(OUT)/astronaut-unmasked.compare.png)"
	@echo "Your own photos:        . $(VENV)/bin/activate, then: unmask restore PHOTO"

# Two workers share the cores: one thread each is faster than two that fight.
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.dev
	$(PY) -m pytest $(PYTEST_ARGS)

fuzz: export UNMASK_FUZZ_SECONDS ?= 240
fuzz: export OMP_NUM_THREADS ?= 1
fuzz: $(VENV)/.dev
	$(PY) -m pytest tests/fuzz -rP

check: $(VENV)/.dev
	$(PY) -m ruff check
	$(PY) -m ruff format --check --quiet
	$(PY) -m mypy

bench: $(VENV)/.dev
	$(PY) benchmarks/restore.py

docs: $(VENV)/.dev
	$(PY) -m pip install --quiet --editable '.[docs]'
	$(VENV)/bin/mkdocs build --strict

dist: $(VENV)/.dev
	$(PY) -m pip install --quiet build
	$(PY) -m build

clean:
	rm -rf $(VENV) build dist out site *.egg-info .pytest_cache .mypy_cache .ruff_cache
