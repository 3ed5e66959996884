# Two commands set everything up: `make demo` and `make test`. An environment is made afresh when pyproject.toml or
# constraints.txt changed, and kept otherwise.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Folders are listed too: removing a file changes its folder's time.
SOURCES := pyproject.toml README.md $(shell find api configs inference model training -name __pycache__ -prune -o -print)

.PHONY: demo test check wheel clean python

# Scores the example archive with the built-in artefact.
demo: .venv/installed
	@.venv/bin/narratrace score examples/posts.jsonl -o out/demo --overwrite
	@echo 'The results are in out/demo. Try a text of your own: .venv/bin/narratrace predict "..."'

# Runs the whole suite against the installed wheel, as a user has it, in two processes.
test: .venv-test/narratrace
	@.venv-test/bin/pytest --numprocesses 2 --dist loadfile

# mypy runs from another folder so that it sees the installed package, not the top folders of the source tree.
check: .venv-test/narratrace
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	cd .venv-test && bin/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p narratrace

wheel: dist/built

clean:
	rm -rf .venv .venv-test build dist *.egg-info

python:
	@$(PYTHON) -c 'import sys; sys.exit("narratrace needs Python 3.11 or newer; name one with PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'

.venv/installed: pyproject.toml constraints.txt | python
	@echo "Making a virtual environment in .venv and installing narratrace there (a minute or so) ..."
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python $(PIP_INSTALL) --editable .
	@touch $@

.venv-test/dependencies: pyproject.toml constraints.txt | dist/built
	@echo "Making a virtual environment in .venv-test and installing narratrace[train,cluster,dev] there (with torch: several minutes) ..."
	@$(PYTHON) -m venv --clear .venv-test
	@.venv-test/bin/python $(PIP_INSTALL) "$$(echo dist/*.whl)[train,cluster,dev]"
	@touch $@

.venv-test/narratrace: dist/built .venv-test/dependencies
	@.venv-test/bin/python $(PIP_INSTALL) --no-deps --force-reinstall dist/*.whl
	@touch $@

dist/built: $(SOURCES) | python
	@echo "Building the wheel in dist ..."
	@rm -rf build dist
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@touch $@
