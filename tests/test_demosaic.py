"""Demosaicing along edges against the method written site by site; edges in both directions, grain, flat colours."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, mosaic, tables
from lolblur_synth.kernels import demosaicing

COLOURS = mosaic.rgb_to_camera(tables.load(tables.PAPER_CAMERA).xyz_to_camera)
WHITE = (1.0, 1.0, 1.0)


def planes_of(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3) companded camera colours -> packed planes."""
    rgb = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
    return mosaic.mosaic(rgb, np.eye(3), WHITE)


def psnr(one: torch.Tensor, picture: np.ndarray) -> float:
    error = one[0].permute(1, 2, 0).numpy() - picture
    return -10 * np.log10((error[8:-8, 8:-8] ** 2).mean())


def site_by_site(raw: np.ndarray) -> np.ndarray:
    """(H, W) RGGB -> (H, W, 3), the inner sites: 10 at the border are left 0."""
    height, width = raw.shape
    green_less = {}
    for line, (dy, dx) in (("row", (0, 1)), ("column", (1, 0))):
        table = green_less[line] = np.zeros(raw.shape)
        for y in range(2, height - 2):
            for x in range(2, width - 2):
                at = [raw[y + k * dy, x + k * dx] for k in (-2, -1, 0, 1, 2)]
                other = (at[1] + at[3]) / 2 + (2 * at[2] - at[0] - at[4]) / 4
                table[y, x] = (at[2] - other) * (1 if (y + x) % 2 else -1)
    change = {"row": np.zeros(raw.shape), "column": np.zeros(raw.shape)}
    change["row"][:, 1:-1] = abs(green_less["row"][:, 2:] - green_less["row"][:, :-2])
    change["column"][1:-1] = abs(green_less["column"][2:] - green_less["column"][:-2])
    less = np.full(raw.shape, np.nan)
    for y in range(8, height - 8):
        for x in range(8, width - 8):
            if (y + x) % 2:
                continue
            near, top = np.s_[y - 2 : y + 3], 0.0
            total = 0.0
            for line, ahead in (("row", 1), ("row", -1), ("column", 1), ("column", -1)):
                centre = x if line == "row" else y
                five = slice(centre, centre + 5) if ahead == 1 else slice(centre - 4, centre + 1)
                window = (near, five) if line == "row" else (five, np.s_[x - 2 : x + 3])
                along = (y, five) if line == "row" else (five, x)
                weight = (demosaicing.reference.STEADY + change[line][window].sum()) ** -2.0
                top, total = top + weight * green_less[line][along].mean(), total + weight
            less[y, x] = top / total
    out = np.zeros((height, width, 3))
    for y in range(10, height - 10):
        for x in range(10, width - 10):
            green = raw[y, x] + (0 if (y + x) % 2 else less[y, x])
            out[y, x] = [green - _less_at(less, y, x, parity) if parity < 2 else green for parity in (0, 2, 1)]
    return out


def _less_at(less: np.ndarray, y: int, x: int, parity: int) -> float:
    """Green less red (parity 0: red has even rows) or less blue (1): its own, or the mean of corners or of all four."""
    if y % 2 == x % 2 == parity:
        return less[y, x]
    if y % 2 == x % 2:
        return np.mean([less[y + a, x + b] for a in (-1, 1) for b in (-1, 1)])
    return np.mean([_less_at(less, y + a, x + b, parity) for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))])


def test_it_is_the_method_site_by_site():
    raw = np.random.default_rng(0).uniform(0, 1, (26, 30)) * np.linspace(0.05, 1, 30)
    planes = F.pixel_unshuffle(torch.from_numpy(raw.astype(np.float32))[None, None], 2)
    found = demosaicing.along_edges(planes)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found[10:-10, 10:-10], site_by_site(raw)[10:-10, 10:-10], atol=2e-5)


def test_what_was_sampled_stays():
    raw = torch.rand(1, 1, 24, 28)
    found = demosaicing.along_edges(F.pixel_unshuffle(raw, 2))
    for colour, y, x in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        torch.testing.assert_close(found[:, colour, y::2, x::2], raw[:, 0, y::2, x::2], atol=1e-6, rtol=0)


def test_rows_and_columns_are_treated_alike():
    """A transposed RGGB mosaic is one whose greens have changed places."""
    planes = torch.rand(1, 4, 14, 18)
    turned = planes[:, [0, 2, 1, 3]].transpose(2, 3)
    torch.testing.assert_close(
        demosaicing.demosaic(turned), demosaicing.demosaic(planes).transpose(2, 3), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_come_back_along_themselves(axis):
    """Three sites a stripe, tinted: the filters that know no direction give them 9 dB worse."""
    place = np.indices((60, 72))[axis][..., None]
    picture = np.where(place // 3 % 2, [0.8, 0.75, 0.6], [0.2, 0.3, 0.25]).astype(np.float32)
    planes = planes_of(picture)
    evenly = psnr(mosaic.develop(planes, np.eye(3), WHITE), picture)
    assert psnr(demosaicing.demosaic(planes), picture) > evenly + 8


def test_grain_is_developed_as_malvar_does_and_edges_are_not():
    generator = torch.Generator().manual_seed(0)
    grain = 0.12 + torch.randn(1, 4, 80, 80, generator=generator) / 255
    evenly = mosaic.develop(grain, np.eye(3), WHITE)
    assert (demosaicing.demosaic(grain) - evenly).std() < 0.2 * (evenly - 0.12).std()
    assert demosaicing.share(grain).mean() < 0.2
    step = planes_of(np.where(np.arange(80)[:, None, None] < 41, 0.1, np.full((80, 80, 3), 0.7)))
    assert demosaicing.share(step)[..., 40:42, 20:-20].min() > 0.8


def test_a_flat_colour_survives_and_black_is_black():
    light = torch.tensor([0.3, 0.5, 0.02]).view(1, 3, 1, 1).expand(1, 3, 24, 32).contiguous()
    raw = mosaic.mosaic(light, COLOURS, WHITE)
    torch.testing.assert_close(demosaic.develop(raw, COLOURS), fr.light_to_srgb(light), atol=1e-5, rtol=0)
    assert demosaic.develop(torch.zeros(1, 4, 12, 16), COLOURS).abs().max() == 0


def test_it_can_be_learnt_through():
    """Gradients are finite where nothing is to be seen, and those of finite differences elsewhere."""
    flat = torch.zeros(1, 4, 8, 8, requires_grad=True)
    demosaicing.demosaic(flat).sum().backward()
    assert torch.isfinite(flat.grad).all() and flat.grad.sum() == pytest.approx(3 * 256, rel=1e-3)
    planes = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    towards = torch.rand(planes.shape, generator=torch.Generator().manual_seed(2)) - 0.5
    weight = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    (demosaicing.demosaic(planes) * weight).sum().backward()
    with torch.no_grad():
        ends = [(demosaicing.demosaic(planes + e * towards).double() * weight).sum() for e in (-1e-3, 1e-3)]
    assert (planes.grad * towards).sum().item() == pytest.approx((ends[1] - ends[0]).item() / 2e-3, rel=0.02, abs=0.02)


def test_threads_and_neighbours_in_a_batch_change_nothing():
    planes, threads = torch.rand(2, 4, 40, 50), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = demosaicing.demosaic(planes)
        torch.set_num_threads(3)
        assert torch.equal(one, demosaicing.demosaic(planes))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(demosaicing.demosaic(planes[1:]), one[1:], atol=1e-6, rtol=0)
