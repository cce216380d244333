"""Linear demosaicing filters of a site of an RGGB mosaic, and how they act on packed planes.

Packed, (4, H/2, W/2), are the planes R, Gr, Gb, B, so that every 5x5 filter of sites is a 3x3 filter of planes.
"""

import numpy as np

# Malvar, He, Cutler 2004, Figure 2
_GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
_ALONG_ROW = (
    np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
)
_ALONG_COLUMN = _ALONG_ROW.T
_DIAGONAL = np.array([[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]) / 16
_ITSELF = np.zeros((5, 5))
_ITSELF[2, 2] = 1
# filters that give R, G, B at a site of each plane
MALVAR = (
    (_ITSELF, _GREEN, _DIAGONAL),
    (_ALONG_ROW, _ITSELF, _ALONG_COLUMN),
    (_ALONG_COLUMN, _ITSELF, _ALONG_ROW),
    (_DIAGONAL, _GREEN, _ITSELF),
)

_PLUS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
_CORNERS = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]]) / 4
_ACROSS = np.array([[0, 0, 0], [1, 0, 1], [0, 0, 0]]) / 2
_PLUS, _CORNERS, _BESIDE, _ABOVE = (np.pad(kernel, 1) for kernel in (_PLUS, _CORNERS, _ACROSS, _ACROSS.T))
BILINEAR = (
    (_ITSELF, _PLUS, _CORNERS),
    (_BESIDE, _ITSELF, _ABOVE),
    (_ABOVE, _ITSELF, _BESIDE),
    (_CORNERS, _PLUS, _ITSELF),
)
FILTERS = {"malvar": MALVAR, "bilinear": BILINEAR}


def packed_colours(filters: tuple) -> np.ndarray:
    """(3, 4, 4, 3, 3) of one of FILTERS: colour, site, plane, block row, block column."""
    return np.array([[packed(site, filters[site][colour], 1) for site in range(4)] for colour in range(3)])


def packed(site: int, kernel: np.ndarray, reach: int) -> np.ndarray:
    """(4, 2 reach + 1, 2 reach + 1) filter of planes that equals `kernel`, a filter of sites centred on site 0..3 of a
    block."""
    weight = np.zeros((4, 2 * reach + 1, 2 * reach + 1))
    for (row, column), value in np.ndenumerate(kernel):
        y, x = site // 2 + row - kernel.shape[0] // 2, site % 2 + column - kernel.shape[1] // 2
        if value:
            weight[2 * (y % 2) + x % 2, y // 2 + reach, x // 2 + reach] = value
    return weight
