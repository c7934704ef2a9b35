# `make test` is the whole onboarding: it needs Python 3.11 or newer and make, and brings the rest.
# With a JDK 17 and Maven it also tests against a real Kafka and real Druids, which it fetches.

UV_VERSION := 0.13.9
UV := .uv/uv-$(UV_VERSION)
READY := .venv/.ready-$(UV_VERSION)
BIN := .venv/bin

# The newest interpreter that the lock file was resolved for; `make PYTHON=…` overrules it.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v $$name && break; done)

# More of them take longer breaths than the servers' limits allow on two busy cores.
WORKERS ?= 2
ARGS ?=
KEEP ?=

# What mypy has found out is kept for the next clone on this machine, like the servers of the tests:
# it knows files by their contents, and a first check without it takes a minute of one core.
MYPY_KEPT := $(or $(REPLICATOR_TEST_CACHE),$(HOME)/.cache/druid-replicator)/mypy

export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
# Hundreds of processes start in the tests; without bytecode each would compile all libraries again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test test-long mutants check fetched prepared audit sbom demo demo-druid screenshots bench fix lock client clean man

# What gates a change.
test: prepared
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

# The same and the rest: thousands of seeds, hundreds of kills, every cell of each matrix. Hours.
test-long: prepared
	RING=long $(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)
	$(MAKE) mutants ARGS=
	@echo 'test-long: tests PASSED, mutants PASSED; the audit of uv.lock is what is left'
	@$(MAKE) audit || { echo 'test-long: tests PASSED, mutants PASSED, audit NOT PASSED: see above' >&2; exit 1; }
	@echo 'test-long: tests PASSED, mutants PASSED, audit PASSED'

# Whether the tests catch the planted bugs, all or those named: make mutants ARGS='expiry-*'.
mutants: fetched
	@# a bug that is planted within a second of another must not be taken for that by its bytecode
	PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.mutants --workers $(WORKERS) $(ARGS)

# Servers come over the network while the code is checked.
prepared: $(READY)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check fetched

fetched: $(READY)
	$(BIN)/python -m tests.servers.fetching

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	@test -d .mypy_cache || { rm -rf .mypy_new; cp -r '$(MYPY_KEPT)' .mypy_new && mv .mypy_new .mypy_cache; } \
		2>/dev/null || :
	$(BIN)/mypy
	@test '$(MYPY_KEPT)' -nt .mypy_cache/CACHEDIR.TAG || { new='$(MYPY_KEPT)'-$$$$ \
		&& mkdir -p '$(dir $(MYPY_KEPT))' && cp -r .mypy_cache "$$new" \
		&& rm -rf '$(MYPY_KEPT)' && mv "$$new" '$(MYPY_KEPT)'; } || :
	$(BIN)/lint-imports

# Known vulnerabilities in what uv.lock installs, by OSV's list. A list that was not reached is no
# finding, and no pass either: it fails, by a name of its own.
audit: $(UV)
	@$(UV) audit --frozen --no-dev --preview-features audit-command && echo 'audit: PASSED' || { code=$$?; \
		test $$code -ne 2 || { \
			echo 'audit: NOT DONE, the list of vulnerabilities was not reached: see the error above.' >&2; \
			echo 'Nobody knows whether uv.lock has any; run `make audit` again.' >&2; exit 3; }; \
		echo 'audit: FAILED, see the vulnerabilities above' >&2; exit $$code; }

# What uv.lock installs, as CycloneDX.
sbom: $(UV)
	@mkdir -p dist
	$(UV) export --frozen --no-dev --all-extras --preview-features sbom-export \
		--format cyclonedx1.5 --output-file dist/sbom.cdx.json >/dev/null

# The manual pages, of the text that --help shows.
man: $(READY)
	@$(BIN)/python -m replicator.cli.manual man

demo: $(READY)
	@$(BIN)/replicator demo $(if $(KEEP),--keep) $(ARGS)

# The same story on two real Druid clusters and a real Kafka; needs a JDK 17 and Maven.
demo-druid: $(READY)
	@$(BIN)/python -m tests.demo_druid $(if $(KEEP),--keep)

# The pictures of the page in docs/images, taken in a real Chromium; look at them.
screenshots: $(READY)
	$(BIN)/python -m tests.page.screenshots

bench: $(READY)
	@for file in $$(ls bench/[a-z]*.py | grep -v soak); do echo; echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; done

fix: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# After a change of the dependencies in pyproject.toml; commit uv.lock with it.
lock: $(UV)
	$(UV) lock --default-index https://pypi.org/simple

# After a change of the control API's routes or types; commit tests/control_client with it.
client: $(READY)
	$(BIN)/python -m tests.control_client $(UV) tool run openapi-python-client@0.29.1

clean:
	rm -rf .venv .uv dist .demo mutants.json .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find replicator tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml uv.lock $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode --python '$(PYTHON)'
	@touch $@

# uv is one file. It is put in place by a rename, so that two makes at once do not disturb each other.
$(UV):
	@'$(or $(PYTHON),false)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'druid-replicator needs Python 3.11 or newer, and none of python3.13, python3.12,' >&2; \
		echo 'python3.11 and python3 is one. Install it, or name it: make PYTHON=/path/to/python3' >&2; \
		exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments. Install its venv module' >&2; \
		echo '(Debian, Ubuntu: apt install python3-venv), then run make again.' >&2; \
		exit 1; }
	@mkdir -p .uv
	@if test "$$(uv --version 2>/dev/null | cut -d ' ' -f 2)" = '$(UV_VERSION)'; then \
		ln -sf "$$(command -v uv)" $@; \
	else \
		set -e; new=.uv/new-$$$$; trap 'rm -rf '$$new EXIT; \
		echo 'fetching uv $(UV_VERSION) into .uv'; \
		'$(PYTHON)' -m venv $$new; \
		$$new/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'; \
		mv $$new/bin/uv $@; \
	fi
