# `make` lists the targets. Each does the set-up that it needs by itself.

STUDY ?= phantom
DATA ?=
EXTERNAL ?=
MASKS ?=
RECIPE ?=
SEED ?=
AUGMENT ?=
SIZE ?=
FOLDS ?=
JOBS ?=
WORKERS ?=
SCHEDULER ?=
CLUSTER ?=
SWEEP ?= params/sweeps/seeds.yaml
DRY ?=
EXTRA ?=
MARKS ?=
WITH_IMAGES ?=
BASE ?= main
RUN ?=
BASE_RUN ?=
SUMMARY ?=
FAIL_ON ?= none
PYTHON ?= python3
# Set-up uses uv where it is installed, else PYTHON's venv and pip; `make setup UV=` insists on pip.
UV ?= $(shell command -v uv 2>/dev/null)

# Recipes read these from the environment, so that paths with spaces stay whole.
export STUDY DATA EXTERNAL MASKS RECIPE SEED AUGMENT SIZE FOLDS JOBS WORKERS SCHEDULER CLUSTER SWEEP DRY MARKS WITH_IMAGES BASE RUN BASE_RUN SUMMARY FAIL_ON
# The environment's own kernel, even where the user has one of the same name.
export JUPYTER_PREFER_ENV_PATH = 1

BIN = .venv/bin

# Options of `python -m benchmarks.bench`, and of JupyterLab.
BENCH ?=
LAB ?=

# Tests run in two processes, each test file in one: its tests share a study. Files are begun in
# the order in which tests/conftest.py leaves them; the slowest are listed at the end.
PARALLEL = --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 25

# The browser of `make web-test`.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
PAGE_PACKAGES = web/node_modules/.package-lock.json
PICTURES = .cache/web-e2e
LAB_PROJECT = .cache/lab-test
FREE_PORT = import socket; print(socket.create_server(('127.0.0.1', 0)).getsockname()[1])

.PHONY: help setup lab reproduce sweep verify doctor test test-all faults lint typecheck docs coverage bench site site-test web web-test lab-test review review-web review-report lock lock-check clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

##@ The study

setup: .venv/.ready $(EXTRA:%=.venv/.extra-%) ## build the environment in .venv from the lock: [EXTRA="dask jax cuda"]

.venv/.ready: pyproject.toml uv.lock requirements.lock tools/setup.sh
	@tools/setup.sh "$(PYTHON)" "$(UV)"

# An optional extra of pyproject.toml, beside those that .venv has already.
.venv/.extra-%: .venv/.ready
	@tools/setup.sh "$(PYTHON)" "$(UV)" $*

# What computes on a Dask scheduler needs the extra.
reproduce: $(if $(WORKERS)$(SCHEDULER)$(CLUSTER)$(DASK_SCHEDULER_ADDRESS),.venv/.extra-dask)
reproduce: .venv/.ready ## run a study: [STUDY=phantom DATA=path RECIPE=patient EXTERNAL=path MASKS=path SEED=n AUGMENT=n SIZE=px FOLDS=n JOBS=n WORKERS=n|SCHEDULER=tcp://host:port|CLUSTER=file]
	@$(BIN)/kidneyct reproduce --study "$$STUDY" $${DATA:+--data "$$DATA"} \
		$${EXTERNAL:+--external "$$EXTERNAL"} $${MASKS:+--masks "$$MASKS"} \
		$${RECIPE:+--recipe "$$RECIPE"} \
		$${SEED:+--seed "$$SEED"} $${AUGMENT:+--augment "$$AUGMENT"} \
		$${SIZE:+--image-size "$$SIZE"} $${FOLDS:+--folds "$$FOLDS"} \
		$${JOBS:+--jobs "$$JOBS"} $${WORKERS:+--workers "$$WORKERS"} \
		$${SCHEDULER:+--scheduler "$$SCHEDULER"} $${CLUSTER:+--cluster "$$CLUSTER"}

sweep: $(if $(WORKERS)$(SCHEDULER)$(CLUSTER)$(DASK_SCHEDULER_ADDRESS),.venv/.extra-dask)
sweep: .venv/.ready ## run a study with many seeds, recipes, …, and compare: [SWEEP=params/sweeps/seeds.yaml DATA=path MASKS=path EXTERNAL=path JOBS=n WORKERS=n|SCHEDULER=tcp://host:port|CLUSTER=file DRY=1]
	@$(BIN)/kidneyct sweep "$$SWEEP" $${DATA:+--data "$$DATA"} \
		$${EXTERNAL:+--external "$$EXTERNAL"} $${MASKS:+--masks "$$MASKS"} \
		$${JOBS:+--jobs "$$JOBS"} $${WORKERS:+--workers "$$WORKERS"} \
		$${SCHEDULER:+--scheduler "$$SCHEDULER"} $${CLUSTER:+--cluster "$$CLUSTER"} \
		$${DRY:+--dry-run}

verify: .venv/.ready ## run the phantom study anew and compare every cell with its reference
	@$(BIN)/kidneyct verify

doctor: .venv/.ready ## tell what a study will use on this machine, and what is missing
	@$(BIN)/kidneyct doctor

# --allow-root lets it start in a container; it listens on this machine alone, behind a token, and
# asks nobody for news or newer versions.
lab: .venv/.ready ## open JupyterLab on the notebooks; 00 explores a finished run: [LAB="--port=8889"]
	$(BIN)/jupyter-lab --allow-root --LabApp.default_url=/lab/tree/notebooks \
		--LabApp.app_settings_dir=tools/jupyterlab $(LAB)

##@ Checks

test: .venv/.ready ## run the tests, but for those that take minutes each: [MARKS=expression]
	@$(BIN)/python -m pytest $(PARALLEL) $${MARKS:+-m "$$MARKS"}

test-all: .venv/.ready ## run all tests but `make faults`: whole studies and the whole bench, too
	@$(BIN)/python -m pytest $(PARALLEL) -m "not faults"

faults: .venv/.ready ## kill, damage and fill what a study uses, and see that nothing is lost
	$(BIN)/python -m pytest -m faults tests/faults

lint: .venv/.ready ## check code, layers, notebooks, spelling and workflows; notebook sources hold no outputs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

typecheck: .venv/.ready ## check the type hints of the library
	$(BIN)/mypy

coverage: .venv/.ready ## run the tests and show which lines and branches they miss (.cache/coverage)
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term-missing:skip-covered \
		--cov-report=html:.cache/coverage $${MARKS:+-m "$$MARKS"}

bench: .venv/.ready ## time the study against the common recipe: [BENCH="--images 480"]
	@$(BIN)/python -m benchmarks.bench $(BENCH)

##@ The page

web: page-models $(PAGE_PACKAGES) ## serve the page with all exported models at http://localhost:8000
	@cd web && npm run --silent build && npm run --silent serve

web-test: have-chromium .venv/.ready page-models $(PAGE_PACKAGES) ## test the page in Chromium against Python: [STUDY=phantom]
	@$(BIN)/python web/e2e/expected.py --study "$$STUDY" --scheme final $(PICTURES)
	@$(BIN)/python web/e2e/review_report.py $(PICTURES)
	@cd web && npm run --silent test && npm run --silent build && \
		KIDNEYCT_E2E=../$(PICTURES) KIDNEYCT_E2E_MODEL="$$STUDY/final" npm run --silent e2e

lab-test: have-chromium .venv/.ready $(PAGE_PACKAGES) ## open notebooks of a finished run in JupyterLab, in Chromium: [STUDY=phantom]
	@$(BIN)/python web/lab/project.py --study "$$STUDY" $(LAB_PROJECT)
	@port=$$($(BIN)/python -c "$(FREE_PORT)") && cd web && \
		KIDNEYCT_LAB=../$(LAB_PROJECT) KIDNEYCT_LAB_PORT=$$port npm run --silent lab

.PHONY: page-models have-node have-chromium

page-models: have-node
	@cd web && npm run --silent models

$(PAGE_PACKAGES): web/package-lock.json web/package.json | have-node
	@cd web && npm ci

have-node:
	@{ command -v npm && node -p process.versions.node | \
		awk -F . '{ exit !($$1 > 20 || ($$1 == 20 && $$2 >= 19)) }'; } > /dev/null 2>&1 || \
		{ echo "The page needs Node 20.19 or newer with npm (https://nodejs.org);" \
		"found: $$(node --version 2> /dev/null || echo none)." >&2; exit 1; }

have-chromium:
	@[ -x "$$CHROMIUM" ] || { echo "No Chromium found: apt-get install chromium (Debian)," \
		"or name one: make web-test CHROMIUM=/path/to/chrome" >&2; exit 1; }

##@ The site

site: .venv/.extra-site ## build outputs/site of all finished studies, to be read without running: [WITH_IMAGES=1]
	@$(BIN)/python -m tools.site.build $${WITH_IMAGES:+--with-images}

site-test: have-chromium $(PAGE_PACKAGES) ## test the site of the phantom study in Chromium
	@[ -f outputs/site/index.html ] || { echo "There is no site yet: make site" >&2; exit 1; }
	@cd web && npm run --silent site-test

##@ Notebook changes

review: .venv/.ready ## show in the terminal what this branch changes in notebooks: [BASE=main]
	@base=$$(tools/review_base.sh) && \
	if git diff --quiet "$$base" -- '*.ipynb'; then echo "No notebook differs from $$BASE."; \
	else git -c diff.jupyternotebook.command=tools/notebook_diff.sh diff "$$base" -- '*.ipynb'; fi

review-web: .venv/.ready ## show the same side by side in the browser: [BASE=main]
	@base=$$(tools/review_base.sh) && $(BIN)/nbdiff-web "$$base" notebooks

review-report: .venv/.ready ## write what it changes, results too, to outputs/review/index.html: [BASE=main STUDY=phantom RUN=path BASE_RUN=path SUMMARY=file FAIL_ON=any|beyond-noise]
	@$(BIN)/kidneyct review --base "$$BASE" --study "$$STUDY" --fail-on "$$FAIL_ON" \
		$${RUN:+--run "$$RUN"} $${BASE_RUN:+--base-run "$$BASE_RUN"} \
		$${SUMMARY:+--summary "$$SUMMARY"}

##@ Upkeep

docs: .venv/.ready ## write the numbers of README and docs anew from results/
	$(BIN)/python tools/results.py write

lock: ## pin the dependencies of pyproject.toml anew (needs uv)
	uv lock
	uv export --frozen --quiet --no-emit-project --no-annotate -o requirements.lock
	uv run --no-project --python '>=3.11' tools/environment_yml.py > environment.yml

lock-check: ## see that the lock and what is made of it fit pyproject.toml (needs uv)
	@command -v uv > /dev/null || { echo "lock-check needs uv (https://docs.astral.sh/uv)." >&2; exit 1; }
	uv lock --check
	uv export --frozen --quiet --no-emit-project --no-annotate --no-header | \
		diff -I '^#' requirements.lock - > /dev/null || \
		{ echo "requirements.lock is not what uv.lock gives: run make lock." >&2; exit 1; }
	uv run --quiet --no-project --python '>=3.11' tools/environment_yml.py | diff environment.yml - || \
		{ echo "environment.yml is not what the lock gives: run make lock." >&2; exit 1; }

clean: ## remove computed stores and tool caches; outputs and .venv stay
	rm -rf .cache .pytest_cache .ruff_cache .hypothesis
	rm -rf web/node_modules web/dist web/public/models web/test-results
	find . -path ./.venv -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-prune -exec rm -rf {} +

distclean: clean ## remove outputs (all but the tracked reference) and .venv too
	[ ! -d outputs ] || find outputs -mindepth 1 \
		! -path outputs/phantom ! -path 'outputs/phantom/reference*' -delete
	rm -rf .venv
