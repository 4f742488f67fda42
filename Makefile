# Two commands are all a fresh machine needs: `make run` and `make test`. `make help` lists the rest.

BOOT ?= python3
PY := .venv/bin/python
ARGS ?=
TESTS ?=
# Processes that test. Two, however many cores there are: a test of a cluster keeps more than one busy, and needs memory.
JOBS ?= 2

export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-long test-fast test-lowest mutation lint docs lock dist audit record-release clean

help: ## list these targets
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## set up .venv with what `farm` needs (the other targets do it themselves)
	@$(BOOT) -m tools.set_up

setup-dev:
	@$(BOOT) -m tools.set_up --dev

run: setup ## validate the reference kernel on three devices; more options: make run ARGS="--case tiny"
	@.venv/bin/farm run --devices 3 $(ARGS)

# The tests start hundreds of processes, and each would compile the packages again where Python may not write bytecode.
.PHONY: bytecode
bytecode: setup-dev
	@$(PY) -m compileall -q farm ci jobs kernel tests tools

# Files go to the processes in their order: those of tests/slow_files.toml first.
test: lint bytecode ## every check and the whole test suite; one file: make test TESTS=tests/farm/test_doctor.py
	@$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 5 -m "not long" $(TESTS)

test-long: setup-dev ## what takes too long for every change: long forms of tests, fifty runs of the chaos test, every mutant
	@$(PY) -m pytest -m long $(TESTS)
	@FARM_CHAOS_RUNS=50 $(PY) -m pytest tests/chaos
	@$(PY) -m tools.mutation --all --minutes 120 --processes $(JOBS)

# The commit to compare with, and how long it may take.
SINCE ?= HEAD^
MINUTES ?= 10

mutation: setup-dev ## mutants of what judges and has changed; another commit: make mutation SINCE=origin/main MINUTES=30
	@$(PY) -m tools.mutation --since "$(SINCE)" --minutes $(MINUTES) --processes $(JOBS)

test-fast: bytecode ## the tests that take a moment: no simulator, no Ray, no file of tests/slow_files.toml
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m "not sim and not ray and not slow and not long" $(TESTS)

LOWEST := constraints/lowest-py311.txt
TORCH_INDEX_URL ?= https://download.pytorch.org/whl/cpu

test-lowest: ## the fast tests with the oldest versions pyproject.toml allows, in .venv-lowest (Python 3.11)
	@python3.11 -m venv .venv-lowest
	@.venv-lowest/bin/pip install --quiet --no-deps --index-url $(TORCH_INDEX_URL) "$$(grep ^torch== $(LOWEST))+cpu" \
		|| { echo "no such CPU build there: taking PyPI's, with several GB of CUDA"; \
		.venv-lowest/bin/pip install --quiet "$$(grep ^torch== $(LOWEST))" "$$(grep ^numpy== $(LOWEST))"; }
	@grep -v ^torch== $(LOWEST) | .venv-lowest/bin/pip install --quiet --no-deps -r /dev/stdin
	@.venv-lowest/bin/pip install --quiet --no-deps -e .
	@.venv-lowest/bin/python -m pytest -m "not sim and not ray and not long" $(TESTS)

lint: setup-dev ## ruff, mypy and the import contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

docs: setup-dev ## the documentation and the Python API as a static site, in site/
	@$(PY) -m pip install --quiet --disable-pip-version-check -c "constraints/$$($(PY) -c \
		'import sys; print("py%d%d.txt" % sys.version_info[:2])')" -e ".[docs]"
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "site/index.html"

lock: ## pin today's versions for every supported Python into constraints/
	@$(BOOT) -m tools.lock

dist: setup-dev ## wheel, source distribution, SHA256SUMS and bill of materials of the last commit, in dist/
	@$(PY) -m tools.release

audit: setup-dev ## report known vulnerabilities of the pinned packages; it fails nothing, and "skipped" means not looked up
	@$(BOOT) -m venv .venv/audit
	@.venv/audit/bin/pip install --quiet --disable-pip-version-check "pip-audit==2.10.1"
	@.venv/audit/bin/pip-audit --no-deps --disable-pip -r "constraints/$$($(PY) -c \
		'import sys; print("py%d%d.txt" % sys.version_info[:2])')" || true

record-release: setup-dev ## after a release: what is published now is what later changes are held to
	@$(PY) -m tools.public_api > tests/released/api.txt
	@cp docs/report.schema.json docs/sweep.schema.json docs/bisect.schema.json tests/released/
	@$(PY) -c 'import farm; print(farm.__version__)' > tests/released/version

clean: ## remove .venv and caches; the results of runs stay
	@rm -rf .venv .venv-lowest .set-up.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build site *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
