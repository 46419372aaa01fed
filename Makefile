# Everything runs in .venv, which these targets make and fill from the locks; repeated runs find it ready. The locks are
# complete, so pip is told not to resolve (its own resolver trips over an extra of a pinned package).
PYTHON ?= python3
# The tests start hundreds of processes, and each would compile the program again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

# The tests that are fast: all that need neither other software nor many processes, and one whole path.
FAST := not torture and not real and not install and not browser and (smoke or not (prefect or processes))

BENCHMARKS := collect backfill reconcile chain budget forward run_cost console

.PHONY: demo test test-postgresql test-browser test-prefect test-real test-newest test-install torture check docs reference dist bench soak fleet format lock clean

demo: .venv/runtime  ## set up, collect from the sandbox, show what came
	@$(BIN)/onepassword-source demo

test: .venv/dev  ## set up, run all tests that need no server, and one that needs Prefect's: from a configuration to events
	@$(PYTEST) -n 3 -m "$(FAST) and not postgresql"

test-postgresql: .venv/dev  ## what `make test` runs on SQLite, on PostgreSQL, and what needs that server
	@$(PYTEST) -n 3 -m "$(FAST) and postgresql"

test-browser: .venv/dev  ## pages of the console, of `coverage --html` and of the documentation in Chromium, if there is one
	@$(PYTEST) -n 2 -m "browser and not torture and not real and not install and not prefect"

test-prefect: .venv/dev  ## the flows, the commands and `up` with real Prefect servers, and what starts many processes
	@$(PYTEST) -n 3 -m "(prefect or processes) and not torture and not real and not install and (browser or not smoke)"

torture: .venv/dev  ## every fault that the source survives, with real processes, and a table of them
	@$(PYTEST) -n 2 -m torture

test-real: .venv/dev  ## against software of others, which it installs: mock servers, other collectors, SIEMs, archives
	@tests/real/install.sh
	@$(PYTEST) -n 2 -m real

test-newest:  ## the demo and the tests of `make test` and `make test-postgresql`, with the newest version of each dependency, without the locks
	@PYTHON=$(PYTHON) FAST="$(FAST)" .ci/newest

test-install: .venv/dev  ## each way of installing, from nothing, and a table of which was run where
	@tests/install/install.sh
	@$(PYTEST) -m install tests/install

dist: .venv/dev  ## what a release publishes, from the last commit: wheel, sdist, SBOM, provenance, checksums
	@.ci/dist

check: .venv/dev  ## linters, types, and which floor may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: .venv/dev  ## the documentation as a site that needs no network; a broken link or a page without a place in it fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html."

bench: .venv/dev  ## what is fast and what is not, on SQLite and PostgreSQL: half an hour or more, all tables
	@for what in $(BENCHMARKS); do $(BIN)/python tests/benchmarks/$$what.py || exit; done

HOURS ?= 1
soak: .venv/dev  ## leave `up` running for an hour, or HOURS, with kills in between, and see that nothing grows or is lost
	@$(BIN)/python tests/benchmarks/soak.py --hours $(HOURS)

fleet: .venv/dev  ## how many sources one machine takes: an hour and a half
	@$(BIN)/python tests/benchmarks/fleet.py
	@$(BIN)/python tests/benchmarks/fleet.py --sources 60 --loops 2

format: .venv/dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: .venv/dev  ## resolve the dependencies anew; the locks hold names, versions and hashes
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --group pyproject.toml:build -c requirements-dev.lock -o requirements-build.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate -c requirements-dev.lock deployments/container/sbom.in -o deployments/container/sbom.lock

reference: .venv/dev  ## write the pages of docs/reference that are made from the code
	@PYTHONPATH=tests $(BIN)/python -m support.reference

clean:
	rm -rf .venv .demo site dist

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv .venv

.venv/runtime: .venv/bin/python requirements.lock requirements-build.lock pyproject.toml
	@echo "Installing into .venv (a minute or two, once)…"
	@$(PIP) --no-deps --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@echo "Installing what the tests need…"
	@$(PIP) --no-deps --require-hashes -r requirements-dev.lock
	-@tests/support/install_debian.sh
	@touch $@
