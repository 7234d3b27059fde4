# Everything sets itself up: `make test` in a fresh clone needs python3 (>= 3.11), git and make.
#   PYTHON=/path/to/python3   another interpreter
#   ARGS="..."                arguments of the command behind demo, test, test-long, bench, bench-full and ab
#   JOBS=3                    processes that share the tests: one more than two cores, because tests wait for servers

ARGS ?=
JOBS ?= 3
VENV ?= .venv
RUN := $(VENV)/bin/python
# a file stays in one process, with what its tests share; tests/suite.py puts the longest files first
SHARED := -n $(JOBS) --dist loadfile --no-loadscope-reorder
export PYTHON
# the tests start hundreds of processes that import otcache: it is compiled once
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-long http-cache-tests lint bench bench-full ab dashboards dashboards-preview docs-tables clean venv-demo venv-dev

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-18s %s\n", $$1, $$2}'

demo: venv-demo ## Watch a cached application live; ARGS="--seconds 20" ends it by itself
	@$(RUN) -m otcache demo $(ARGS)

test: venv-dev ## Run the tests; ARGS="-k breaker" selects
	@$(RUN) -m pytest $(SHARED) -m "not long" $(ARGS)

test-long: venv-dev ## Run what takes long: soak, long histories, fuzzing, from a seed that it prints
	@$(RUN) -m pytest $(SHARED) -m "long or hypothesis" --hypothesis-profile long $(ARGS)

http-cache-tests: venv-dev ## Run the public HTTP cache test suite; ARGS=--write writes docs/http-cache-tests.md
	@sh .ci/cache-suite
	@$(RUN) -m tests.http.cache_suite.run $(ARGS)

lint: venv-dev ## Check style, format and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m mypy .ci/bootstrap.py .ci/oldest.py docs/tables.py

bench: venv-dev ## Measure otcache beside other caches, against its targets: a minute or two
	@$(RUN) -m benchmarks quick $(ARGS)

bench-full: venv-dev ## The same with every workload and up to 1 000 000 entries; ARGS=--baseline keeps it for the docs
	@$(RUN) -m benchmarks full $(ARGS)

dashboards: venv-dev ## Write the generated dashboards and alert rules
	@$(RUN) -m dashboards $(ARGS)
	@$(RUN) -m otcache alerts export dashboards/prometheus

dashboards-preview: venv-dev ## Draw the dashboards with Grafana's own panels, as pictures
	@$(RUN) -m dashboards.preview $(ARGS)

ab: venv-dev ## Measure the working tree against HEAD, in turns; ARGS="--baseline main --target set"
	@$(RUN) -m otcache regress ab $(if $(ARGS),$(ARGS),--baseline HEAD)

docs-tables: venv-dev ## Write the generated tables of docs/
	@$(RUN) docs/tables.py

clean: ## Remove what these commands made
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

venv-demo venv-dev: venv-%:
	@sh .ci/setup $* --venv $(VENV)
