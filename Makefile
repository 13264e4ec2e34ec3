# Needs Python 3.11 or newer and a package registry; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST := build/lowest
DEMO := src/jointune/demo/data/posts.csv

.PHONY: help setup demo test test-lowest test-ray attack check-install lint audit format bench docs clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Install jointune and what its tests need into .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "jointune needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing jointune into $(VENV); this takes a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e '.[train]'
	@touch $@

demo: setup  ## Train on the embedded demo posts and show predictions and the report
	$(BIN)/jointune demo --out build/demo --force

test: setup  ## Run the tests
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check-install: setup  ## Resolve every extra, install the wheel into an empty environment, and run the demo there
	$(BIN)/python scripts/check_install.py

test-lowest:  ## Run the fast tests with the lowest versions that pyproject.toml admits; TORCH=2.13.0 names another torch
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" uv
	echo '$(addprefix torch==,$(TORCH))' > $(LOWEST)/override.txt
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct pyproject.toml --extra train --extra serve \
	  --group dev --override $(LOWEST)/override.txt --output-file $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOWEST)/constraints.txt \
	  --group dev -e '.[train,serve]'
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(LOWEST)/bin/python -m pytest -m "not slow" -n auto --dist loadfile

test-ray: setup  ## Install Ray, and run the tests that need it on a cluster of two nodes on this machine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/scale

attack: setup  ## Attack tables, bundles, runs, the service and the page, on this machine alone
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m attack -n auto --maxprocesses 4 --dist loadfile

lint: setup audit  ## Check style and types, and look for published holes in dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

audit: setup  ## Look for published holes in the versions of constraints.txt, where an advisory database can be reached
	$(BIN)/python scripts/audit.py

format: setup  ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## Measure speed as ratios; all of it with POSTS=posts.csv, see benchmarks/README.md
	$(BIN)/python benchmarks/training.py $(POSTS)
	$(BIN)/python benchmarks/arithmetic.py $(POSTS)
	$(BIN)/jointune demo --out build/demo --force
	$(BIN)/python benchmarks/predict.py build/demo/model $(or $(POSTS),$(DEMO))
	$(BIN)/python benchmarks/serve.py build/demo/model $(POSTS)
ifdef POSTS
	$(BIN)/python benchmarks/waiting.py $(POSTS)
	$(BIN)/python benchmarks/scale.py $(POSTS)
	$(BIN)/python benchmarks/many_parts.py --sizes 10000 100000
	$(BIN)/python benchmarks/scale.py $(POSTS) --encoders default --out build/bench/scale_default.json
	$(BIN)/python benchmarks/time_to_score.py $(POSTS) $(if $(PEER),--peer "$(PEER)")
else
	$(BIN)/python benchmarks/scale.py --sizes 1000 4000 16000
endif

docs: setup  ## Write the reference pages from the code itself
	$(BIN)/python scripts/write_reference.py

clean:  ## Remove what the targets made, .venv included
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
