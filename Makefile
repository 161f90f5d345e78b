# Words to Pictures: one command each. `make` alone lists them.
# Every target does its own set-up; a second call reuses what stands.

PYTHON ?= python3
PORT ?= 8000
# which variant `make assignments` makes, and where
SEED ?= 0
TO ?= _build/assignments
# chapters that `make book` executes, and files that `make test` tests, at a time
JOBS ?= 2
# Threads wait asleep: spinning ones make another program's load ten times as costly.
export OMP_WAIT_POLICY ?= PASSIVE
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := _build/lowest/.installed
NOTEBOOKS = $(sort $(wildcard book/*.ipynb))
SOURCES := cvae_lib tests tools benchmarks book
EXTRAS := book,dev,instructor
# The library's tests know the library, and nothing of what builds and checks the book around it.
AROUND := $(basename $(notdir $(wildcard tools/*.py))) small_book test_book test_grading
EMPTY :=
LIBRARY_TESTS = $(shell grep -LwE '^ *(import|from) ($(subst $(EMPTY) $(EMPTY),|,$(AROUND)))' \
  $$(grep -lwE '^ *(import|from) cvae_lib' tests/test_*.py))
# What chapters read of the environment, and the list of all else that their outputs stand on.
CHOICES := CVAE_SCALE CVAE_COCO_ROOT CVAE_CLIP_WEIGHTS CVAE_INCEPTION_WEIGHTS
GROUND := _build/ground.txt

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The targets share one environment and one build folder: `make -j` runs them one after another.
.NOTPARALLEL:
.PHONY: help install book check-book pdf slides assignments test test-library test-lowest lint format serve clean set-repository benchmark spelling linkcheck times results

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## set up .venv with the library, the book's and the developers' tools

# A virtual environment names its folder in its scripts: one that was moved is made anew.
MADE_HERE := grep -qsF '$(abspath $(VENV))' $(BIN)/activate
$(STAMP): pyproject.toml $(shell $(MADE_HERE) || echo FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "make: Python 3.10 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "make: name another one: make install PYTHON=python3.12" >&2; exit 1; }
	@$(MADE_HERE) && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || { \
	  rm -rf $(VENV); echo "make: '$(PYTHON) -m venv' failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV): some minutes and 6 GB the first time ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

FORCE:

# jupyter-cache knows a chapter by its code alone. When the library, its weights, its records or a
# choice has changed, the cache goes; no chapter reads how long chapters or the playground take.
$(GROUND): FORCE
	@mkdir -p _build
	@{ $(foreach name,$(CHOICES),echo "$(name)=$$$(name)";) \
	  find cvae_lib -type f ! -name '*.pyc' ! -path '*/records/chapters/*' ! -path '*/records/playground/*' | sort | tr '\n' '\0' | xargs -0 cksum; } >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else \
	  if test -e $@; then echo "The library, its weights, its records or a choice changed: every chapter runs anew."; fi; \
	  rm -rf _build/.jupyter_cache _build/.doctrees _build/jupyter_execute; mv $@.new $@; fi

# Sphinx warns about a page only while it reads it, so a failed build followed by a second one
# would pass. _build/.clean says that the last build had nothing to complain about.
# VENDOR=skip leaves out what comes from the npm registry, and each page says what it lacks.
book: install $(GROUND) ## build the HTML book into _build/html, every warning an error
	@$(BIN)/python tools/vendor.py
	@$(BIN)/python tools/execute_book.py --jobs $(JOBS)
	@test -e _build/.clean || rm -rf _build/.doctrees
	@rm -f _build/.clean
	@$(BIN)/jupyter-book build . -q -W -n --keep-going
	@$(BIN)/python tools/check_links.py _build/html
	@$(BIN)/python tools/check_secrets.py _build/html
	@touch _build/.clean
	@echo "The book is in _build/html/index.html; 'make serve' shows it."

check-book: install ## open every page of the built book in Chromium, without a network
	@$(BIN)/python tools/check_book.py _build/html

pdf: install ## print the whole built book into _build/words-to-pictures.pdf
	@$(BIN)/python tools/make_pdf.py _build/html _build/words-to-pictures.pdf

slides: install ## a deck of slides for each part of the built book: _build/slides/part-1.html, …
	@$(BIN)/python tools/make_slides.py _build/html _build/slides

assignments: install ## problem sets for students, Colab and instructors (SEED=3: another variant; SETS=ps1: one of them; TO=folder)
	@$(BIN)/python tools/make_assignments.py $(SETS) --seed $(SEED) --to "$(TO)"

test: install lint ## lint, unit tests with coverage, then every chapter at smoke scale
	@CVAE_SCALE=smoke OMP_NUM_THREADS=1 $(BIN)/pytest tests -n $(JOBS) --dist loadfile --cov=cvae_lib --cov-report=term --cov-fail-under=90
	@CVAE_SCALE=smoke OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 120 $(NOTEBOOKS)

test-library: install ## the library's tests alone: no browser, no chapter
	@CVAE_SCALE=smoke OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile $(LIBRARY_TESTS)

$(LOWEST): pyproject.toml | install
	@rm -rf $(@D)
	@$(BIN)/uv venv --quiet --python $(PYTHON) $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D) --resolution lowest-direct -e '.[dev]'
	@touch $@

test-lowest: $(LOWEST) ## the library's tests and every chapter, with the lowest versions of pyproject.toml (PYTHON=python3.10)
	@CVAE_SCALE=smoke OMP_NUM_THREADS=1 $(<D)/bin/pytest -n $(JOBS) --dist loadfile $(LIBRARY_TESTS)
	@CVAE_SCALE=smoke OMP_NUM_THREADS=1 $(<D)/bin/pytest -n $(JOBS) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 120 $(NOTEBOOKS)

lint: install spelling ## check style, types and spelling, change nothing
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES) || { echo "make: 'make format' mends the layout." >&2; exit 1; }
	@$(BIN)/mypy

format: install ## lay out code and notebook cells, mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

spelling: install ## find misspelt words, in British English; pyproject.toml accepts some
	@$(BIN)/typos

linkcheck: install ## try every address on other machines that the book names; runs no chapter
	@mkdir -p _build/links
	@sed 's/execute_notebooks: cache/execute_notebooks: "off"/; s|: tools|: ../../tools|' _config.yml >_build/links/config.yml
	@$(BIN)/jupyter-book build . -q --config _build/links/config.yml --path-output _build/links --builder linkcheck

times: install $(GROUND) ## run every chapter alone and write how long it takes into its first box
	@$(BIN)/python tools/execute_book.py --jobs 1 --again
	@$(BIN)/python tools/chapter_times.py
	@$(BIN)/python tools/write_results.py

results: install ## write book/results.md anew from the records
	@$(BIN)/python tools/write_results.py

benchmark: install ## training speed: the article's way against ours
	@$(BIN)/python benchmarks/train_speed.py

serve: ## show the built book at http://127.0.0.1:8000 (PORT=... for another)
	@test -e _build/html/index.html || { echo "make: no book yet; 'make book' builds it." >&2; exit 1; }
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || { \
	  echo "make: port $(PORT) cannot be had; name another one: make serve PORT=8001" >&2; exit 1; }
	@echo "http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

clean: ## remove what was built and cached; the environment stays (rm -rf .venv drops it)
	@rm -rf _build build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
	@find $(SOURCES) -name .ipynb_checkpoints -prune -exec rm -rf {} +

set-repository: ## rewrite the repository's address everywhere (URL=https://github.com/OWNER/NAME), and the built book's (BOOK=https://…)
	@$(PYTHON) tools/set_repository.py "$(URL)" "$(BOOK)"
