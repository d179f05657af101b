# Everything starts here: `make help`. Needs Python 3.11 or later, pip and make; `make lint` needs Node.js with npm, too.
# All else is installed into .venv and node_modules.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TSC := node_modules/.bin/tsc
PORT ?= 8000
DATA ?= var/demo

.PHONY: help install run test trials lint house check bench openapi translations clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## .venv with the package and all that development needs

$(STAMP): pyproject.toml scripts/make-venv
	scripts/make-venv $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[server]" --group test --group check
	@touch $@

run: $(STAMP) ## a demo camera and the server; prints the URL and how to log in
	$(BIN)/ninjacam demo --data $(DATA) --port $(PORT)

test: $(STAMP) ## the whole suite; as root on Debian it installs GStreamer, ffmpeg, Chromium and QEMU first
	scripts/system-packages
	$(BIN)/python -m pytest tests/unit -n 3 --durations=10 --junitxml=build/tests/unit.xml
	$(BIN)/python -m pytest tests/e2e tests/integration -m "not alone" -n 5 --dist loadfile --no-loadscope-reorder --durations=10 --junitxml=build/tests/together.xml
	$(BIN)/python -m pytest tests/e2e tests/integration -m alone --durations=10 --junitxml=build/tests/alone.xml

trials: $(STAMP) ## long and rare checks: fuzzing, kill loops, a virtual machine; hours on two cores
	scripts/system-packages
	$(BIN)/python -m pytest tests/trials

lint: $(STAMP) $(TSC) ## format, lint, types of Python and of the scripts, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(TSC)
	$(BIN)/lint-imports

$(TSC): package.json package-lock.json
	@command -v npm >/dev/null || { echo "make lint checks the types of the scripts: install Node.js and npm." >&2; exit 1; }
	npm ci --no-audit --no-fund --silent
	@touch $@

house: $(STAMP) ## size, cycles, names and words against their limits (docs/style.md), and the slowest tests of the last `make test`
	$(BIN)/python -m tools.house

check: lint test ## all that CI does

bench: $(STAMP) ## the table of figures, with the blog's way beside it
	scripts/system-packages
	$(BIN)/python -m benchmarks

openapi: $(STAMP) ## write docs/openapi.json
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django ninjacam_openapi docs/openapi.json

translations: $(STAMP) ## extract all texts into src/ninjacam/locale, and compile the translations; needs GNU gettext
	$(BIN)/python -m tools.translations

clean: ## remove what was made
	rm -rf $(VENV) node_modules var build dist
