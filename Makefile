# Everything a contributor types. Each target makes what it needs in .venv first; nothing is installed outside it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Stamps: what is in .venv was installed from the files these depend on, and is installed again when they change.
MADE   := $(VENV)/.made
TESTS  := $(VENV)/.test-extra
CHECKS := $(VENV)/.check-extra
FILES  := pyproject.toml constraints.txt

# Tests run side by side, in the order of their folders: most of the first ones wait, for processes, for a disk, for a server.
WORKERS ?= 5

# If this were set, every process that a test starts would recompile its imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check docs bench bench-peers peers-read mutate torture clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Another Python: make PYTHON=/path/to/python3.12 TARGET"

demo: $(TESTS) ## Run a job, kill it, resume it, export it, and count
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

test: $(TESTS) ## Run all tests
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

check: $(CHECKS) ## Check format, lint, types, import layers and docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/docs -q
	@$(MAKE) --no-print-directory docs

docs: $(CHECKS) ## Build the documentation site in build/site, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(TESTS) ## Run the benchmarks: ratios measured in one run
	$(BIN)/python benchmarks/run.py

bench-peers: $(TESTS) ## Run the benchmarks beside other programs, each in a venv of its own
	@failed=0; for script in side_by_side.py side_by_side_postgres.py side_by_side_generation.py "provider_refusals.py --peers"; do \
		$(BIN)/python benchmarks/$$script || failed=1; done; exit $$failed

peers-read: $(TESTS) ## Read the exports as trainers do, with datasets, pandas, TRL and mistral-common in a venv of their own
	$(BIN)/python benchmarks/peers_read.py

mutate: $(TESTS) ## Take out one condition at a time, and list those whose loss no test detects
	$(BIN)/python scripts/mutate.py

torture: $(TESTS) ## Run sweeps and tests with generated data at their full count, then the mutations
	BACKSTAY_TORTURE=1 $(BIN)/pytest tests -m 'sweep or hypothesis' --timeout 0
	@$(MAKE) --no-print-directory mutate

clean: ## Remove what make, the tests and the demo made
	rm -rf $(VENV) .venv-peers .axe-core .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(MADE):
	@command -v "$(PYTHON)" >/dev/null \
		|| { echo "Backstay needs Python 3.11 or newer, and $(PYTHON) was not found: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Backstay needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
		|| { echo "$(PYTHON) cannot make $(VENV); on Debian and Ubuntu, install python3-venv"; exit 1; }
	@touch $@

$(TESTS): $(MADE) $(FILES)
	$(PIP) --constraint constraints.txt --editable '.[test]'
	@touch $@

$(CHECKS): $(TESTS)
	$(PIP) --constraint constraints.txt --editable '.[test,check]'
	@touch $@
