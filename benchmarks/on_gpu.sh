#!/bin/sh
# All that a GPU must be measured for, in about ten minutes: a pair end to end, kernels beside their floors, a training
# step of LEDNet. In the environment of `make .venv/ready-test`, with CuPy:
#
#   sh benchmarks/on_gpu.sh [VIDEO]      VIDEO: of at least 1,050 frames, for 100 pairs; default: the bundled street, 8 pairs
#
# Figures go to docs/notes/cuda.md.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
"$python" -c "import sys, torch; sys.exit(not torch.cuda.is_available())" ||
    { echo "on_gpu: torch sees no CUDA device; nothing was measured"; exit 0; }
pairs=$([ $# -gt 0 ] && echo 100 || echo 8)
"$python" benchmarks/throughput.py "$@" --pairs 4 --device cuda > /dev/null # compiles
"$python" benchmarks/throughput.py "$@" --pairs "$pairs" --device cuda
"$python" benchmarks/pair.py --device cuda
"$python" benchmarks/gpu.py --repeats 10
"$python" benchmarks/lednet.py step --rounds 1
