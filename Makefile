# Everything a person types. Each target first sets up what it needs (see talon/bootstrap); the second time
# that takes no noticeable time.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo test soak endure serve bench check

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

setup: ## install what runs, into this directory (make setup SET=test: what tests need too; SET=production: no more)
	@command -v $(PYTHON) >/dev/null || { echo "please install Python 3.11 or newer (Debian: apt-get install python3)"; exit 1; }
	@$(PYTHON) -m talon.bootstrap $(if $(SET),$(SET) --exactly)

setup-test:
	@$(MAKE) --no-print-directory setup SET=test

demo: setup ## the main job, end to end on a local chain, in some twenty lines
	@$(BIN)/python -m talon.demo

test: check ## every test, against the real parts
	@$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart=0

soak: setup-test ## the long tests: crash, race and model runs at full length
	@TALON_SOAK=1 $(BIN)/python -m pytest -m soak

endure: setup-test ## what takes hours: an hour of nothing, an hour of work
	@TALON_ENDURE=1 $(BIN)/python -m pytest -m endure

serve: setup ## API, local chain and workers in the foreground; Ctrl-C stops all
	@exec $(BIN)/python -m talon.cli serve

bench: setup-test ## the benchmark: JSON lines, then a table
	@$(BIN)/python -m talon.bench

check: setup-test ## formatter, linter, types, import rules
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff . 2>&1 | head -40; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@echo "check: formatter, linter, types and import rules are satisfied"
