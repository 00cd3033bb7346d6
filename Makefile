# Needs make and Python 3.11 or newer; everything else is downloaded into .venv and the user's cache.
# ARGS are passed on: make demo ARGS="--orders 200", make test ARGS="-k refund". PYTHON selects another Python.
# make check TESTED=yes skips the tests.

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit check docs bench faults fuzz clean

VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/setup.log
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
UV := $(shell command -v uv 2>/dev/null)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.ready ## set up .venv, and download Kafka for the embedded stack

demo: $(VENV)/.ready ## start everything and simulate a shop's day
	@$(BIN)/orderbus demo $(ARGS)

test: $(VENV)/.ready ## run all tests
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),$(BIN)/python -m tests)

unit: $(VENV)/.installed ## run the unit tests only
	@$(BIN)/pytest tests/unit $(ARGS)

check: $(VENV)/.ready ## check everything: format, lint, types, generated files, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m deploy.documents --check
	$(if $(TESTED),,$(if $(ARGS),$(BIN)/pytest $(ARGS),$(BIN)/python -m tests))

docs: $(VENV)/.installed ## build a site of all documents in build/site, with its links checked
	@$(BIN)/python -m deploy.documents.site

bench: $(VENV)/.ready ## measure the speed of this machine
	@$(BIN)/orderbus bench $(ARGS)

faults: $(VENV)/.ready ## inject real faults while orders are processed; about an hour, prints a table
	@ORDERBUS_LONG=1 $(BIN)/pytest -v tests/faults $(ARGS)

fuzz: $(VENV)/.ready ## send all kinds of requests to every service's routes; about 11 minutes
	@ORDERBUS_LONG=1 $(BIN)/pytest -v tests/fuzz $(ARGS)

clean: ## remove .venv and the tools' caches, but neither the stack's data nor the downloaded Kafka
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each step leaves a stamp file, so that a second run skips it; after a change of the lock file it runs again.

$(VENV)/.ready: $(VENV)/.installed deploy/devstack/kafka-4.4.0.lock
	@$(BIN)/python -m deploy.devstack.kafka
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing requirements.lock into $(VENV) (details in $(LOG)) …"
	@{ if [ -n "$(UV)" ]; then \
		"$(UV)" pip install --python $(BIN)/python --require-hashes -r requirements.lock && \
		"$(UV)" pip install --python $(BIN)/python --no-deps -e .; \
	else \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip; } && \
		$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --disable-pip-version-check --no-deps -e .; \
	fi; } >$(LOG) 2>&1 || { tail -n 20 $(LOG) >&2; echo "It could not be installed: $(LOG) has the details." >&2; exit 1; }
	@touch $@

$(VENV)/.made:
	@for python in $(PYTHON) $(CANDIDATES); do \
		if "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "orderbus needs Python 3.11 or newer. Install it, or select another Python with make PYTHON=…" >&2; \
		exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$found" --version) …"; \
	if [ -n "$(UV)" ]; then \
		"$(UV)" venv --quiet --allow-existing --python "$$found" $(VENV); \
	elif "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		"$$found" -m venv $(VENV); \
	else \
		echo "This Python cannot create virtual environments. Install its venv package (Debian, Ubuntu: python3-venv) or uv." >&2; \
		exit 1; \
	fi
	@touch $@
