# `make demo` and `make test` do all their set-up themselves; Python 3.11 or newer is all they need.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready

.PHONY: demo test lint clean

demo: $(READY)
	$(VENV)/bin/mgpt run examples/demo.toml

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/pip install --quiet --editable ".[dev]"
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable ".[test]"
	touch $(READY)

clean:
	rm -rf $(VENV) runs build *.egg-info
