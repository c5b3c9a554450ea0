# Short names for the commands of README and CONTRIBUTING; each works without make too.

.PHONY: setup quickstart test lint ci reference benchmarks gpu

setup: .venv/bin/pytest

.venv/bin/pytest: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install -c constraints.txt -e '.[test]'
	touch $@

quickstart: setup
	.venv/bin/python -m ferray.tune

test: setup
	.venv/bin/python -m pytest

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

ci:
	.ci/run

reference: setup
	.venv/bin/python -m ferray.schema > search_spaces/study.schema.json
	sed -i '/made by `make reference`/q' docs/study-file.md
	(echo; .venv/bin/python -m ferray.schema --markdown) >> docs/study-file.md

benchmarks: setup
	.venv/bin/pip install -c constraints.txt -e '.[benchmark]'
	.venv/bin/python -m benchmarks

# Needs a GPU, and neither Ray nor a network connection.
gpu: setup
	.venv/bin/python -m benchmarks gpu
	.venv/bin/python -m pytest -n 0 -m gpu
