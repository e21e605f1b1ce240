# make run    install, then the whole chain on the embedded world, from URLs to the report
# make test   the whole test-suite: format, lint, import layers, dvc.yaml, pytest
# make clean  forget everything a run made

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

.PHONY: run test install clean
.DEFAULT_GOAL := run

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, found {v}: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

run: install
	@git rev-parse --git-dir > /dev/null 2>&1 || git init --quiet
	@test -d .dvc || dvc init --quiet
	@mkdir -p conf/local
	kedro run
	dvc commit --force --quiet
	@echo "report: $(CURDIR)/data/08_reporting/report.html"

test: install
	@mkdir -p conf/local
	ruff format --check .
	ruff check .
	lint-imports
	kedro dvc-sync --check
	pytest

clean:
	git clean -d --force --quiet -X data
	rm -rf mlflow.db* mlartifacts dvc.lock
