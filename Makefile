# The front door. Everything runs in .venv, which is made on first use.
PYTHON ?= python3
BIN := .venv/bin

CONNECTIONS ?= 50
CODES ?= 10
DURATION ?= 60
SHAPE ?= churn
HOST ?=
ARGS ?=

host = $(if $(HOST),--host $(HOST))

# Where it cannot be compiled, it says so, and everything works without it.
compiled := sseload_users/transports/_receiving.c
compile = $(BIN)/sseload compile >/dev/null || true

.PHONY: load stress ladder capacity shape ui test test-protocols test-matrix test-campaign test-diagnosis fuzz check format schema docs bench lock dist test-pythons pictures diagnosis-pictures clean help

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

load: .venv/run ## Test a server: CONNECTIONS=50 CODES=10 DURATION=60 HOST=http://… ARGS=…
	$(BIN)/sseload $(CONNECTIONS) $(CODES) $(DURATION) $(host) $(ARGS)

stress: .venv/run ## 500 connections, 50 codes, 180 s
	$(BIN)/sseload 500 50 180 $(host) $(ARGS)

ladder: .venv/run ## 50, 100, 200 and 500 connections in one run: where does it fall short?
	$(BIN)/sseload ladder $(host) $(ARGS)

capacity: .venv/run ## Search for the most connections that the server holds
	$(BIN)/sseload capacity $(host) $(ARGS)

shape: .venv/run ## SHAPE=soak, churn, storm, flap, rooms, deploy, burst, slow-consumers or idle
	$(BIN)/sseload shape $(SHAPE) $(host) $(ARGS)

ui: .venv/run ## Locust's web UI at http://localhost:8089
	$(BIN)/locust $(host) $(ARGS)

test: .venv/dev ## Run the tests; ALL=1 for those that take long, too
	$(if $(ALL),ALL=1) $(BIN)/python -m pytest -n 4 --dist loadfile $(ARGS)

test-protocols: .venv/dev ## Test each protocol on a server of its own, and write the table in docs/targets.md
	PROTOCOLS=all PROTOCOLS_TABLE=write $(BIN)/python -m pytest -n 4 --dist loadfile tests/protocols $(ARGS)

test-matrix: .venv/dev ## Run each fault, alone and in pairs, and of channels, reconnects and nodes (takes half an hour)
	MATRIX=all $(BIN)/python -m pytest tests/matrix $(ARGS)

test-campaign: .venv/dev ## Make random runs for ten minutes, and compare each with the target's record
	CAMPAIGN_SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest tests/campaign $(ARGS)

test-diagnosis: .venv/dev ## Plant faults, each with SEEDS=5, and print how often each is named; JOBS=2, RESULTS=path
	ALL=1 DIAGNOSIS_SEEDS=$(or $(SEEDS),5) DIAGNOSIS_JOBS=$(or $(JOBS),2) DIAGNOSIS_RESULTS=$(RESULTS) $(BIN)/python -m pytest tests/diagnosis $(ARGS)

test-pythons: .venv/dev ## Install the wheel for each Python that is there, with the oldest and newest dependencies
	ALL=1 PYTHONS=all $(BIN)/python -m pytest tests/test_installation.py $(ARGS)

fuzz: .venv/dev ## Fuzz what takes a server's bytes: ARGS='frames -max_total_time=60'
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
		{ echo "Install it first, on Linux on x86-64: $(BIN)/pip install atheris"; exit 2; }
	$(BIN)/python -m tests.fuzz $(or $(ARGS),all -max_total_time=60)

check: .venv/dev ## Lint, format check, types, contracts between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: .venv/dev ## Generate the JSON Schemas of report.json and of profiles, and pages of docs/
	$(BIN)/python -m sseload_users.report.serialization > schema.tmp
	mv schema.tmp sseload_users/report/schema.json
	$(BIN)/python -m sseload_users.targets.profile_schema > schema.tmp
	mv schema.tmp config/targets/profile.schema.json
	$(BIN)/python -m docs.generators

docs: .venv/docs ## Build the documentation as a site in site/, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: .venv/dev ## Measure the receive path (needs nginx with nchan; see docs/performance.md)
	$(BIN)/python -m bench $(ARGS)

lock: .venv/dev ## Pin the newest versions that pyproject.toml allows
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --upgrade -o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --upgrade -o requirements-dev.txt requirements-dev.in
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --upgrade -o requirements-docs.txt requirements-docs.in
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --upgrade -o tests/protocols/aiosignalr.txt tests/protocols/aiosignalr.in
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --upgrade -o deploy/build.txt deploy/build.in

dist: .venv/dev ## Build the sdist and the wheel of the last commit: the same bytes wherever it is built
	rm -rf build dist && mkdir -p build/source
	git archive HEAD | tar -x -C build/source
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build -q --no-isolation -o dist build/source
	rm -rf build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "sseload needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/run: requirements.txt $(compiled) | .venv/bin/sseload
	$(BIN)/python -m pip install -q --require-hashes -r requirements.txt
	@$(compile)
	@touch $@

.venv/dev: requirements.txt requirements-dev.txt $(compiled) | .venv/bin/sseload
	$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.txt
	@$(compile)
	@touch $@ .venv/run

.venv/docs: requirements-docs.txt | .venv/bin/sseload
	$(BIN)/python -m pip install -q --require-hashes -r requirements-docs.txt
	@touch $@

# The command, for this checkout. To install it, pip would have to download a build backend.
.venv/bin/sseload: | .venv/bin/python
	@printf '%s\n' '#!/bin/sh' \
		'PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" exec "$(CURDIR)/$(BIN)/python" -m sseload_users "$$@"' >$@
	@chmod +x $@

pictures: .venv/dev ## Make the pictures in docs/ anew, and those of all kinds of pages in build/pages (needs chromium)
	$(BIN)/python -m docs.make_pictures
	$(BIN)/python -m docs.make_page_pictures $(ARGS)

diagnosis-pictures: .venv/dev ## Make the pictures in docs/diagnosis.md anew (needs chromium)
	$(BIN)/python -m docs.make_diagnosis_pictures $(ARGS)

clean: ## Remove what was built
	rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
