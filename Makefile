# `make benchmark` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
export OMP_NUM_THREADS ?= 1
# Without a home that can be written to, caches of Snakemake and others lie in the working folder.
ifneq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}" 2>/dev/null || echo none),)
export XDG_CACHE_HOME := $(abspath .snakemake/caches)
export MPLCONFIGDIR ?= $(XDG_CACHE_HOME)/matplotlib
endif

SUITE ?= longtail
VERSION ?= 1.0

.PHONY: help env benchmark smoke smollm2-quick smollm2 perf test test-all test-triton test-gpu lint format lock release-check dist fixture tune reference site clean

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: $(VENV)/.ready ## create the environment from the lock file

# Nothing is installed whose hash is not in a lock file: the CPU build of torch where an index in use
# has it, else PyPI's, which on Linux is a CUDA build and needs more. What has no wheel is built by
# the locked setuptools, which therefore comes first.
INSTALL = $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation
$(VENV)/.ready: requirements.lock requirements-build.lock requirements-cpu.lock requirements-cuda.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --requirement requirements-build.lock
	$(INSTALL) --require-hashes --requirement requirements-cpu.lock 2> /dev/null || true
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(BIN)/python -c "from importlib.metadata import version; exit('+' not in version('torch'))" || \
		$(INSTALL) --require-hashes --requirement requirements-cuda.lock
	$(INSTALL) --editable .
	touch $@

# What lock files and releases are made with, beside the environment of all else.
TOOLS = $(VENV)/tools
$(TOOLS)/.ready: requirements-release.lock $(VENV)/.ready
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --no-deps --require-hashes --requirement $<
	touch $@

lock: $(TOOLS)/.ready ## write the lock files anew (UPGRADE=1: with the newest versions)
	.ci/lock

release-check: ## refuse what no release may have: placeholders, a day that is not set
	.ci/release-check

DIST ?= build/dist
dist: $(TOOLS)/.ready ## build sdist and wheel of the last commit into build/dist, and check them
	.ci/dist $(DIST)

benchmark: env ## run the default suite, from nothing to the tables
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES)

smoke: env ## run the whole pipeline on the one-minute suite
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES) --config suites='[smoke]'

smollm2-quick: env ## run the real-model suite (30 minutes, downloads 140 MB once)
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES) --config suites='[smollm2-quick]'

smollm2: env ## run the real-model suite in full (nearly two hours, downloads 140 MB once)
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES) --config suites='[smollm2]'

perf: env ## time the code beside others' (40 minutes; keep the machine quiet)
	-$(INSTALL) --require-hashes --requirement requirements-perf.lock
	env -u OMP_NUM_THREADS $(BIN)/arkd perf

test: env ## run the tests
	PATH="$(abspath $(BIN)):$$PATH" python -m pytest -m "not heavy" -n 2 --dist loadfile --no-loadscope-reorder

test-all: env ## run all tests, the heavy ones too
	PATH="$(abspath $(BIN)):$$PATH" python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	@if $(BIN)/python -c "import triton" 2> /dev/null; then :; \
	elif $(MAKE) --silent $(TRITON)/.ready; then $(MAKE) test-triton; \
	else echo "Triton could not be fetched: its kernel was not tested; see make test-triton"; fi

# A CPU build of torch has no Triton; beside it, for these tests alone, it runs in its interpreter.
TRITON = $(VENV)/triton
$(TRITON)/.ready: requirements-cuda.lock $(VENV)/.ready
	mkdir -p $(@D)
	sed -n '/^triton==/,/[^\\]$$/p' $< > $(@D)/triton.lock
	$(INSTALL) --require-hashes --target $(@D) --requirement $(@D)/triton.lock
	touch $@

test-triton: $(TRITON)/.ready ## run the tests of the Triton kernel (fetches 190 MB once)
	PYTHONPATH="$(abspath $(TRITON))" PATH="$(abspath $(BIN)):$$PATH" \
		python -m pytest -n 2 tests/divergence/test_fused.py

test-gpu: env ## run the tests that need a GPU
	PATH="$(abspath $(BIN)):$$PATH" python -m pytest -m gpu -n 0

lint: env ## run every linter and the type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" snakemake --lint

format: env ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

fixture: env ## make the smoke suite's teacher again
	$(BIN)/arkd data --suite benchmarks/fixtures/smoke-teacher.yaml
	$(BIN)/arkd tokens --suite benchmarks/fixtures/smoke-teacher.yaml --pair fixture
	$(BIN)/arkd teacher --suite benchmarks/fixtures/smoke-teacher.yaml --pair fixture
	cp results/smoke-teacher/fixture/teacher/seed0/training/model/* benchmarks/fixtures/smoke-teacher/

tune: env ## choose each method's learning rate again, on the development world
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES) --config suites='[longtail-tuning]'
	$(BIN)/arkd tuning --suite longtail-tuning

# A block keeps its numbers alone: what is made of them, the suite that joins the blocks has.
BLOCK = $(findstring @,$(SUITE))
PRUNED = data report $(if $(BLOCK),tables claims figures)
SHOWN = -o -name samples.jsonl -o -name report.html -o -path '*/tables/*' -o -path '*/claims/*' -o -path '*/figures/*'

reference: ## keep a finished run's numbers: make reference SUITE=longtail VERSION=1.0
	test -f results/$(SUITE)/manifest.json # a finished run, before what is kept of another one goes
	rm -rf results/reference/$(VERSION)/$(SUITE)
	mkdir -p results/reference/$(VERSION)
	cd results && find -H $(SUITE) \( -name '.arkd*' $(foreach folder,$(PRUNED),-o -path $(SUITE)/$(folder)) \) -prune -o \( -name '*.csv' ! -name trajectory.csv ! -path '*/evaluation/*' -o -name manifest.json \
		-o -name data.manifest.json -o -name suite.yaml $(if $(BLOCK),,$(SHOWN)) \) -type f -print0 \
		| tar --create --null --files-from - | tar --extract --directory reference/$(VERSION)
	test ! -f results/$(SUITE)/data/manifest.json || \
		cp results/$(SUITE)/data/manifest.json results/reference/$(VERSION)/$(SUITE)/data.manifest.json
	PATH="$(abspath $(BIN)):$$PATH" arkd verify --write results/reference/$(VERSION)/$(SUITE)

site: env ## build documentation, leaderboard and all reports into build/site
	$(BIN)/arkd leaderboard
	$(BIN)/python site/stage.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file site/mkdocs.yml

clean: ## remove all results but those that are tracked
	find results -mindepth 1 -maxdepth 1 -type d ! -name reference ! -name submissions -exec rm -rf {} +
