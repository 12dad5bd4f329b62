# Every target sets up what it needs: python3 (with venv) and make are enough.
PYTHON ?= python3
BIN = .venv/bin
MARKS = lessons or gpuproof or crash or fuzz or mpi or browser or realdata or demo

.PHONY: demo test test-more torch mutants parity bench lint clean

demo: .venv/made
	$(BIN)/tinyfcn demo

test: .venv/made
	$(BIN)/python -m pytest

test-more: .venv/made
	$(BIN)/python -m pytest -m "$(MARKS)"

# PyTorch is a witness in the tests, never a dependency; with it `make test` compares with it too
torch: .venv/made
	$(BIN)/python -m pip install --quiet torch==2.13.0

mutants: .venv/made
	$(BIN)/python tests/mutants.py

# every net at full width beside PyTorch: five minutes, and 7 GB for the largest
parity: torch
	$(BIN)/python tests/parity.py

# beside PyTorch, ONNX Runtime and OpenVINO: ten minutes on an idle machine, 9 GB
bench: torch
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	for what in fcn memory conv scale report; do $(BIN)/python benchmarks/$$what.py || exit 1; done

lint: .venv/made
	$(BIN)/ruff check tinyfcn tests benchmarks

.venv/made: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .hypothesis .ruff_cache runs
