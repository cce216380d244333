"""How torch and OpenCV compute while a pair is made, since the bytes of a pair depend on it."""

import contextlib
from collections.abc import Iterator

import cv2
import numba
import torch


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Within the block one thread, and float32 up to the last rounding; afterwards everything is as it was.

    Thread counts change the order of sums in some operators, so they are constants, never derived from --jobs, nor from
    what the process of a caller has set. Numba's threads, when they start, overwrite the number that torch was told, as
    both use OpenMP: they are started before. On a GPU torch would let convolutions round their input to 10 bits (TF32)
    and choose algorithms that sum in any order.
    """
    numba.get_num_threads()  # starts them
    before = torch.get_num_threads(), cv2.getNumThreads(), torch.get_float32_matmul_precision(), _convolutions()
    _set(1, 1, "highest", (False, "ieee", True))
    try:
        yield
    finally:
        _set(*before)


def _convolutions() -> tuple[bool, str, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, torch.backends.fp32_precision, cudnn.deterministic  # type: ignore[attr-defined]


def _set(threads: int, cv2_threads: int, products: str, convolutions: tuple[bool, str, bool]) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(cv2_threads)
    torch.set_float32_matmul_precision(products)
    tf32, precision, deterministic = convolutions
    torch.backends.cudnn.allow_tf32 = tf32  # the older name of the next one: torch's ONNX export compares the two
    torch.backends.fp32_precision = precision  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = deterministic
