# Everything that this project does, from a fresh clone on: run `make`.
# Needs GNU make, Python and a package index; the rest goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_TOOLS := tests/node_modules/.installed

# Runs everything anew; or what fits into a time, such as 25m.
FRESH ?=
BUDGET ?=
# Given to pytest: make test ARGS="-k figures"
ARGS ?=
# A worker for each processor core, each with TensorFlow and PyTorch in memory;
# the tests of a file stay together, as they share what they build, and come in
# their order, as the few that download programs take longest.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Folder with results measured elsewhere: make accept FROM=measured
FROM ?= measured
# The branch that `make propose` makes.
BRANCH ?= measured-$(shell date +%Y-%m-%d)

# Where the source is shown, for the site's edit links: what a workflow runs
# in, else the origin of this clone if it is on GitHub, else nothing.
ifdef GITHUB_REPOSITORY
GITHUB_SERVER_URL ?= https://github.com
REPO_URL ?= $(GITHUB_SERVER_URL)/$(GITHUB_REPOSITORY)
endif
REPO_URL ?= $(shell git config --get remote.origin.url 2>/dev/null | sed -nE \
  -e 's,/$$,,' -e 's,\.git$$,,' \
  -e 's,^(https://([^/@]+@)?|ssh://git@|git@)github\.com[:/],,p' \
  | sed -E 's,^,https://github.com/,')
SITE_URL ?=
export REPO_URL SITE_URL
# Anything here brings the gallery into the preview, so a no must be nothing.
override NOTEBOOKS := $(if $(filter-out 0 false,$(NOTEBOOKS)),1)
export NOTEBOOKS

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help site test quick serve check lint bench gpu accept propose pins browser

help: ## Say what can be made
	@echo 'Usage: make TARGET [NAME=VALUE]'
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1: \2/p' $(MAKEFILE_LIST) \
	  | awk -F ': ' '{ printf "  %-9s %s\n", $$1, $$2 }'
	@echo 'Values: FRESH=1 BUDGET=25m NOTEBOOKS=1 PYTHON=python3.12'

# What each set of packages is made of, in the names of pyproject.toml.
# `make check` waits for no package but PyYAML, `make serve` and `make quick`
# for no framework.
EXTRAS_tool :=
EXTRAS_docs := docs
EXTRAS_lint := test
EXTRAS_quick := docs,test
EXTRAS_site := docs,keras,torch
EXTRAS_test := docs,keras,torch,test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "$(PYTHON) is Python %d.%d; expected 3.11, 3.12 or 3.13; " \
	  "run: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	@$(PYTHON) -m venv --clear $(VENV)

# A stamp for each set, made again when what it installs has changed.
$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (the first time takes minutes) ...'
	@$(BIN)/python -m pip install -q -c constraints.txt \
	  -e '.$(if $(EXTRAS_$*),[$(EXTRAS_$*)])'
	@touch $@

# Node, for the tests only, comes from the Python package index as well.
$(NODE_TOOLS): tests/package.json tests/package-lock.json | $(VENV)/.test
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests \
	  --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

site: $(VENV)/.site ## Run what is not run yet, check the text, build site/
	@$(BIN)/guide run $(if $(FRESH),--fresh) $(if $(BUDGET),--budget $(BUDGET))
	@$(BIN)/guide build

test: $(VENV)/.test $(NODE_TOOLS) ## Run the tests; ARGS goes to pytest
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

quick: $(VENV)/.quick ## Try what a writer may break: check, draw, lint and test, without a framework
	@$(BIN)/guide check
	@$(BIN)/guide draw
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/python -m pytest -m quick $(SIDE_BY_SIDE) tests

serve: $(VENV)/.docs ## Preview while you write, from the committed results
	@$(BIN)/mkdocs serve

check: $(VENV)/.tool ## Check the text against the results
	@$(BIN)/guide check

lint: $(VENV)/.lint ## Check the form of the code
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

bench: $(VENV)/.test ## Measure what the project promises about its own speed
	@$(BIN)/python tests/bench/run.py $(ARGS)

gpu: $(VENV)/.site ## Run the programs that need a GPU
	@$(BIN)/guide run --device gpu $(if $(FRESH),--fresh)

accept: $(VENV)/.tool ## Take results measured elsewhere, from FROM=folder
	@$(BIN)/guide accept --from $(FROM)

propose: ## Open a pull request with the accepted results
	@if [ -z "$$(git status --porcelain examples)" ]; then \
	  echo 'Nothing to propose: the results are those that are committed.'; \
	else \
	  git switch -q -c $(BRANCH) && git add examples && \
	  git commit -q -m 'Renew the results that were measured on a GPU' && \
	  git push -q -u origin $(BRANCH) && \
	  gh pr create --title 'Renew the results that were measured on a GPU' \
	    --body 'Close and open this again to have it checked: GitHub starts no workflow for what a workflow opened.'; \
	fi

browser: $(VENV)/.test ## Install the Chromium that the browser test needs
	@$(BIN)/playwright install --with-deps chromium

pins: ## Write constraints.txt anew, from the newest allowed versions
	@rm -rf .build/pins && mkdir -p .build
	@$(PYTHON) -m venv .build/pins
	@grep '^torch==' constraints.txt > .build/pins/torch.txt
	@.build/pins/bin/python -m pip install -q -c .build/pins/torch.txt \
	  -e '.[$(EXTRAS_test)]'
	@{ echo '# Exact versions that this project was last measured with.' \
	    'Made by: make pins'; \
	  .build/pins/bin/python -m pip freeze --exclude-editable \
	    | sed -E 's/\+cpu$$//'; } > .build/pins/constraints.txt
	@mv .build/pins/constraints.txt constraints.txt
	@rm -rf .build/pins
