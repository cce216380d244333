"""While a pair is made, torch has one thread: also after the first kernel of Numba, whose threads overwrite torch's."""

import os
import subprocess
import sys

CODE = """
import numpy as np, torch
from lolblur_synth.dataset.steady import steady
from lolblur_synth.kernels.vbm4d.volumes import mix
torch.set_num_threads(2)
with steady():
    mix(np.eye(3, dtype=np.float32), np.ones((3, 8, 8), np.float32), np.empty((3, 8, 8), np.float32))
    print(torch.get_num_threads())
print(torch.get_num_threads())
"""


def test_the_first_kernel_of_numba_leaves_torch_its_one_thread():
    env = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]
