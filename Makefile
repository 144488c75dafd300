# The one way in. `make help` lists everything.
# PYTHON, PORT, K, S, ROUNDS and ARGS may be given: make live PORT=8001, make test K=echo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PORT  ?= 8000
K     ?=
S     ?=
C      =
BASE   = origin/main
PART   =
NAME   =
ROUNDS = 20
export K C BASE PART NAME  # a recipe takes them from there, whatever is in them
ARGS  ?=
SPHINX := $(BIN)/python -m sphinx -n -W --keep-going -c conf
SOURCES := conf snippets tests
export PYTHONPATH := conf

.PHONY: help live free-port html zip epub chapter format new-chapter changes links test check
.PHONY: conformance lint types record audit bench stress clean lock

help:  ## list what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14
	@echo
	@echo 'live PORT=8001 takes another port; test K=echo runs what matches; record S=listening'
	@echo 'records one part, S=listening/four_tuples one program; PYTHON=… picks an interpreter;'
	@echo 'chapter C=sockets/a-conversation; new-chapter PART=sockets NAME=a-new-question;'
	@echo 'stress ROUNDS=5 K=recordings.'

# The environment is made anew when requirements.txt changes.
$(READY): requirements.txt
	@PYTHON='$(PYTHON)' bash conf/setup.sh '$(VENV)'
	@touch $@

# The port is asked for before a set-up that takes minutes.
live: free-port $(READY)  ## serve the site on loopback, rebuild and reload on every edit
	@HANDBOOK_LIVE=1 $(BIN)/sphinx-autobuild -n --keep-going -c conf --host 127.0.0.1 --port $(PORT) \
	  $(if $(NO_BROWSER),,--open-browser) --watch snippets --watch conf --watch tests \
	  --ignore '*/__pycache__/*' --re-ignore '.*\.pyc$$|.*~$$|.*\.swp$$' $(ARGS) docs build/live

free-port:
	@python=$$(PYTHON='$(PYTHON)' bash conf/python.sh) && "$$python" -m handbook.port '$(PORT)'

html: $(READY)  ## build the site once, and say where it is
	@$(SPHINX) -j 4 docs build/html
	@$(BIN)/python -m handbook index build/html
	@echo "built: $(CURDIR)/build/html/index.html"

zip: html  ## the site in one file, to read it offline
	@$(BIN)/python -m handbook pack build/html build/sockets-ports-websockets.zip

epub: $(READY)  ## the handbook as a book for reading devices
	@$(SPHINX) -q -b epub -t epub docs build/epub
	@echo "built: $(CURDIR)/build/epub/sockets-ports-websockets.epub"

test: $(READY)  ## run every program, claim and page test
	@$(BIN)/python -m pytest -n auto --dist worksteal $(if $(K),-k "$$K") $(ARGS)

record: $(READY)  ## run programs and keep what they print and do
	@$(BIN)/python -m handbook record $(S)

check: $(READY)  ## all that a pull request must pass: lint, types, cold build, tests
	@echo '-- lint';  $(MAKE) lint
	@echo '-- types'; $(MAKE) types
	@echo '-- pages'; $(BIN)/python -m handbook check --finished
	@echo '-- build'; rm -rf build/html; $(MAKE) html
	@echo '-- tests'; $(MAKE) test

lint: $(READY)  ## formatting, style and spelling
	@$(BIN)/ruff format --check $(SOURCES) || { echo '  To mend it: make format'; exit 1; }
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/rumdl check docs README.md CONTRIBUTING.md
	@$(BIN)/codespell docs conf snippets tests README.md CONTRIBUTING.md Makefile

format: $(READY)  ## format programs, tests and pages as make lint wants them
	@$(BIN)/ruff check -q --fix-only $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/rumdl fmt -q docs README.md CONTRIBUTING.md

types: $(READY)  ## check the types of the tools, the programs and the tests
	@$(BIN)/mypy conf/handbook tests $(wildcard snippets/*/*.py)

chapter: $(READY)  ## check one chapter and build its page, in seconds
	@$(BIN)/python -m handbook chapter "$$C"

new-chapter: $(READY)  ## write a chapter to start from, with program and test
	@$(BIN)/python -m handbook new-chapter "$$PART" "$$NAME"

changes: $(READY)  ## what changes on the pages against BASE=origin/main
	@$(BIN)/python -m handbook changes --base "$$BASE" $(ARGS)

links: $(READY)  ## follow every link to another host (needs the network)
	@$(SPHINX) -q -b linkcheck docs build/links

audit: $(READY) html  ## hold every page to the budgets, in a browser (ARGS=reference/ for some)
	@$(BIN)/python -m handbook audit $(ARGS)

stress: $(READY)  ## run programs and tests on a machine made busy (ROUNDS=20 K=… ARGS=…)
	@$(BIN)/python -m handbook stress --rounds '$(ROUNDS)' $(if $(K),-k "$$K") $(ARGS)

bench: $(READY)  ## measure builds, growth, tests, ways between processes; Lighthouse
	@$(BIN)/python -m handbook bench $(ARGS)

conformance: $(READY)  ## every case of the Autobahn suite against the WebSocket core
	@HANDBOOK_CASES=all $(BIN)/python -m pytest -q -s -p no:randomly \
	  tests/websockets/test_conformance.py

lock: $(READY)  ## make requirements.txt anew from requirements.in
	@$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 \
	  --no-header requirements.in -o requirements.txt

clean:  ## remove what was built; the environment too with ALL=1
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache .rumdl_cache $(if $(ALL),$(VENV))
	@find conf tests snippets -name __pycache__ -type d -prune -exec rm -rf {} +
