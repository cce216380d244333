"""Which samples of an exposure are made together, in the reference and in both twins."""

import numpy as np

CHUNK = 8  # instants for which motion is held at once: bounds the memory


def by_pair(instants: np.ndarray, count: int) -> list[tuple[int, np.ndarray]]:
    """Instants grouped by source-frame pair: [(pair, fractions of its interval)], in time order.

    instants: positions in `count` frames, 0..count-1, ascending.
    """
    pairs = np.minimum(np.floor(instants).astype(int), count - 2)
    return [(int(p), (instants[pairs == p] - p).astype(np.float32)) for p in np.unique(pairs)]
