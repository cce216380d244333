"""Every fast twin against its reference: random inputs, odd sizes, poisoned outputs; and no twin is left out.

What must be written is NaN before; what must not be touched is compared afterwards. CUDA runs through the shim on the
CPU, and on a GPU where there is one.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numba import njit

from lolblur_synth import kernels
from lolblur_synth.kernels import darkening, demosaicing, exposure, fasc, inverse_search, sepconv, transfer, vbm4d
from lolblur_synth.kernels.exposure import acceleration, bspline, splat
from lolblur_synth.kernels.inverse_search import patch
from lolblur_synth.kernels.vbm4d import blocks, gains, neighbours, paper_profile, spectra
from lolblur_synth.kernels.vbm4d.settings import PassSettings, Search
from lolblur_synth.recipe.schema import ClipReverseConfig
from lolblur_synth.stages.interpolate import Motion

F = np.float32
NAN = F(np.nan)


class Twin(NamedTuple):
    """twin and reference take what `inputs` makes; results, and arguments that are arrays, agree to `tolerance`."""

    name: str  # of the twin, below lolblur_synth.kernels
    reference: Callable
    twin: Callable
    inputs: Callable[[np.random.Generator], tuple]
    tolerance: float  # absolute
    reason: str
    share: float = 1.0  # of the values that must agree


def compiled(function) -> Callable:
    """A function that only compiled code can call, for Python."""
    names = ", ".join(inspect.signature(getattr(function, "plain", function).py_func).parameters)
    return njit(eval(f"lambda {names}: f({names})", {"f": function}))


def smooth(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, int], scale: float) -> np.ndarray:
    """Smooth random fields (*shape, *cells)."""
    coarse = torch.from_numpy(rng.normal(0, scale, (int(np.prod(shape)), 1, 4, 4)).astype(F))
    return torch.nn.functional.interpolate(coarse, cells, mode="bicubic").reshape(*shape, *cells).numpy()


def moving_frames(rng: np.random.Generator, height: int, width: int, count: int = 4) -> tuple[torch.Tensor, Motion]:
    """Bright random frames, a part of them white, and smooth random motion with varying trust; one pair is still."""
    frames = rng.random((count, 3, height, width), dtype=F) ** F(0.2)
    frames[:, :, : height // 3] = 1
    cells = -(-height // 2), -(-width // 2)

    def flow() -> np.ndarray:
        trust = rng.uniform(0.2, 1, (count - 1, 1, *cells)).astype(F)
        both = np.concatenate([smooth(rng, (count - 1, 2), cells, 4), trust], 1)
        return np.ascontiguousarray(both.transpose(0, 2, 3, 1))

    bend = np.ascontiguousarray(smooth(rng, (count - 1, 2, 2), cells, 4).transpose(0, 1, 3, 4, 2))
    still, cut = np.zeros(count - 1, bool), np.zeros(count - 1, bool)
    still[2] = True
    return torch.from_numpy(frames), Motion(flow(), flow(), bend, np.ones(count - 1, F), still, cut)


def exposed(space: str, size: tuple[int, int]) -> Callable:
    config = ClipReverseConfig(space=space) if space else None
    instants = 0.5 + (np.arange(20) + 0.5) / 8
    return lambda rng: (*moving_frames(rng, *size), instants, config, 80.0)


def lamps(size: tuple[int, int], fused: bool) -> Callable:
    """What `exposed` makes, and light above white: a few lamps of up to 3 times white, and frames without any."""

    def corrected(pair, parts, field):
        share = np.broadcast_to(parts[:, None, None, None], field[:, :1].shape)
        return np.concatenate([field, share**2, 0.3 / (1 + np.exp(-field[:, :1]))], 1).astype(F)

    def inputs(rng):
        frames, motion, *rest = exposed("", size)(rng)
        above = rng.random(tuple(frames.shape), dtype=F) * 3
        above[:, :, size[0] // 2 :] = above[:, :, :, size[1] // 3 :] = above[3] = 0
        above[:, 1, -3:, -2:] = 2  # in a corner, from where motion leads out of the frame
        return frames, replace(motion, correct_fields=corrected) if fused else motion, *rest, torch.from_numpy(above)

    return inputs


def sampled(rng):
    return *moving_frames(rng, 41, 38), 1.3


def averaged(space: str) -> Callable:
    config = ClipReverseConfig(space=space) if space else None
    return lambda rng: (moving_frames(rng, 37, 53, 6)[0], config, 80.0)


def fields(rng):
    motion = moving_frames(rng, 37, 54)[1]
    return motion.forward[0], motion.backward[0], motion.bend[0], np.array([0.01, 0.4, 0.99], F)


def deposited(rng):
    carried, shares = splat.Carried(*rng.normal(0, 4, 4).astype(F)), splat.Shares(*rng.random(4).astype(F))
    return rng.random(400).astype(F), np.int64(24), np.int64(160), carried, shares


def mixed(rng):
    images = rng.random((2, 40 * 33 * 4)).astype(F)
    corners, parts = rng.integers(0, 30, (2, 5)).astype(np.int32) * 4, rng.random((6, 5)).astype(F)
    return images[0], images[1], corners, np.int64(33 * 4), parts, np.int64(3), np.full(20, NAN)


def patches(rng) -> tuple[patch.Level, np.ndarray]:
    """A level of 20x15 pixels in rows of 27, and the image that it is compared with."""
    target, *images = rng.normal(0, 20, (4, 21 * 27)).astype(F)
    return patch.Level(*images, 15, 20, 27), target


def compared(rng):
    level, target = patches(rng)
    return level, 2 * 27 + 5, target, patch.Point(4 * 27 + 7, F(0.3), F(0.85))


def summed(rng):
    return patches(rng)[0], 3 * 27 + 1


def voted(rng):
    level, target = patches(rng)
    point, votes = patch.Point(4 * 27 + 7, F(0.3), F(0.85)), patch.Votes(*np.ones((3, 300), F))
    return level, 2 * 27 + 5, target, point, F(1.5), F(-2), votes, 23


def flowed(settings: tuple[int, int, bool], size: tuple[int, int]) -> Callable:
    def inputs(rng):
        texture = 128 + 60 * smooth(rng, (1,), (size[0] + 8, size[1] + 8), 1)[0] + rng.normal(0, 15, (size[0] + 8, 1))
        grey = texture + 20 * np.sin(np.arange(size[1] + 8) / 2.3) + rng.normal(0, 4, texture.shape)
        codes = [np.clip(grey[y : y + size[0], x : x + size[1]], 0, 255).astype(np.uint8) for y, x in ((0, 0), (2, 3))]
        levels = (inverse_search.pyramid(np.ascontiguousarray(code), settings[2]) for code in codes)
        return *levels, *settings, np.exp(-np.arange(256) / 12.75).astype(F)

    return inputs


def window_of(size: tuple[int, int]) -> Callable:
    """Grey codes of four frames of a texture that moves, and which pairs of them are searched."""

    def inputs(rng):
        texture = 128 + 60 * smooth(rng, (1,), (size[0] + 8, size[1] + 12), 1)[0]
        texture += 20 * np.sin(np.arange(size[1] + 12) / 2.3) + rng.normal(0, 8, texture.shape)
        frames = [texture[2 * t : 2 * t + size[0], 3 * t : 3 * t + size[1]] for t in range(4)]
        codes = torch.from_numpy(np.clip(np.stack(frames), 0, 255).astype(np.uint8))
        return codes, np.array([True, False, True]), 4, 3, False, np.exp(-np.arange(256) / 12.75).astype(F)

    return inputs


def guided(rng):
    return torch.from_numpy(rng.random((2, 3, 21, 35), dtype=F) ** 3), 0.45


def bent(size: tuple[int, int]) -> Callable:
    """Motions both ways of six pairs of frames of which one was not measured, and which were."""

    def inputs(rng):
        motion = moving_frames(rng, *size, count=7)[1]
        return torch.from_numpy(motion.forward), torch.from_numpy(motion.backward), np.arange(6) != 4

    return inputs


def block_added(rng):
    return rng.random(400).astype(F), 23, 19, rng.random(128).astype(F), 64, F(0.7)


def neighbours_compared(rng):
    """Eight blocks of which some cost less than before, and some are not sought."""
    reference, frame = rng.normal(100, 9, (2, 900)).astype(F)
    cost = rng.uniform(5e3, 15e3, 16).astype(F)
    cost[10] = -1e9
    candidate = neighbours.Candidate(frame, np.int64(61), np.int64(45), F(300), F(7))
    matches = neighbours.Matches(cost, np.full(16, NAN), np.full(16, F(-1)))
    return reference, np.int64(50), candidate, np.int64(8), matches


def block_transformed(rng):
    return rng.normal(0, 50, 400).astype(F), np.int64(23), np.int64(19), np.full(128, NAN), np.int64(64)


def spectrum_transformed(rng):
    return rng.normal(0, 50, 200).astype(F), np.int64(64), rng.random(64).astype(F), np.full(128, NAN), np.int64(64)


def nine_blocks(rng):
    return rng.normal(0, 50, 576).astype(F), np.full(576, NAN), np.int64(16)


def thresholded(rng):
    """Some values lie within the ramp below the threshold of 40."""
    return rng.normal(0, 50, 576).astype(F), np.int64(64), np.int64(512), F(40)


def attenuated(rng):
    return *rng.normal(0, 50, (2, 576)).astype(F), np.int64(64), np.int64(512), F(900)


def light_of_frames(rng) -> tuple[torch.Tensor]:
    """From black to three times white, and a little below black."""
    light = rng.random((2, 3, 37, 41), dtype=F) ** 5 * 3
    light[0, :, 0], light[1, :, 1] = 0, -0.02
    return (torch.from_numpy(light),)


def lit_of_frames(rng):
    light = light_of_frames(rng)[0].clamp(min=0)
    old = transfer.reference.lightness(light)
    return light, old, old * torch.from_numpy(rng.random(tuple(old.shape), dtype=F))


def lightness_and_r(rng) -> tuple[torch.Tensor, torch.Tensor]:
    """r of -1..1, both ends included."""
    lightness, r = rng.random((2, 2, 1, 37, 41), dtype=F)
    r = 2 * r - 1
    r[:, :, 0], r[:, :, 1], r[:, :, 2] = 0, 1, -1
    return torch.from_numpy(lightness), torch.from_numpy(r)


def darkened(rng):
    return *lightness_and_r(rng), 8, 1.1


def adjusted(rng):
    lamp, r = lightness_and_r(rng)
    return r, lamp, 1.7


def mosaics(height: int, width: int) -> Callable:
    """Packed planes of two mosaics: noise on the left, flat and black parts, an edge."""

    def made(rng) -> tuple[torch.Tensor]:
        planes = rng.random((2, 4, height, width), dtype=F)
        planes[:, :, :, width // 2 :] = 0.25
        planes[:, :, height // 2 :, 2 * width // 3 :] = 0
        planes[1] *= 1.3
        return (torch.from_numpy(planes),)

    return made


def clip(rng, count: int, height: int, width: int, sigma: float) -> np.ndarray:
    """Opponent planes, in code values, of a texture that moves two pixels a frame, flat on the right; noisy."""
    wide = 200 * rng.random((3, height, width + 2 * count)).repeat(3, 2)[:, :, : width + 2 * count]
    planes = np.stack([wide[:, :, 2 * t : 2 * t + width] for t in range(count)])
    planes[..., 2 * width // 3 :] = 90
    return (planes + sigma * rng.standard_normal(planes.shape)).astype(F)


def alone(grouped: type) -> Callable:
    """One pass, which shares its rings with no other."""
    return lambda *settings: grouped(*settings, [])


def denoised(filters: Callable) -> Callable:
    """The estimates of one pass over a clip."""

    def run(noisy, pilot, *settings):
        count, h = len(noisy), 4
        volumes = filters(noisy[0], *settings)
        for t in range(count):
            volumes.put(t, noisy[t], pilot[t])
        for t in range(count):
            near = np.arange(t - h, t + h + 1)
            slots = np.where((near >= 0) & (near < count), near, -1)
            volumes.add(t % 2, slots, slots, t % 3 != 1)
        return [volumes.finish(t)[1] for t in range(count)]

    return run


def volumes(first_pass: bool, size: tuple[int, int, int], by_level: bool = False) -> Callable:
    def inputs(rng):
        sigma, kaiser = np.array([12.0, 14.0, 12.0]), np.kaiser(8, 2.0)
        noisy, pilot = clip(rng, *size, 12.0), clip(rng, *size, 3.0)
        strength = np.array(((2.3, 2.9), (2.3, 3.2), (2.3, 3.2)) if first_pass else ((0.5, 1.0),) * 3)
        grids = [[np.unique([0, *range(phase, side - 7, 4), side - 8]) for side in size[1:]] for phase in (0, 2)]
        table = np.linspace(0.5, 2, 256) if by_level else None
        bounds = np.multiply((6.0, 140.8, 1024.0) if first_pass else (0.6, 12.8, 256.0), 144).tolist()
        search, window = Search(np.array([2, 8, 3]), *bounds), np.outer(kaiser, kaiser).ravel()
        settings = PassSettings(first_pass, 4, sigma, table, window, strength, search, grids)
        return noisy, noisy if first_pass else pilot, settings

    return inputs


def groups(first_pass: bool) -> Callable:
    def inputs(rng):
        noisy, shape = clip(rng, 4, 17, 26, 12.0), paper_profile.PASSES[not first_pass]
        pilot = noisy if first_pass else np.rint(256 * clip(rng, 4, 17, 26, 3.0).clip(-127, 127)) / F(256)  # as packed
        grids = [[np.unique([0, *range(0, side - shape.block + 1, shape.step), side - shape.block])
                  for side in noisy.shape[2:]]] * 2  # fmt: skip
        return noisy, pilot.astype(F), first_pass, 4, np.array([12.0, 14.0, 12.0]), 2.7, shape, grids

    return inputs


def filters(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Callable:
    """Operands of FASC, and the gradient of its result."""

    def inputs(rng, *, grad: bool = False):
        n, height, width, channels, guides = shape
        sizes = (n, height, width, channels), (n, height, width, guides), (25 * channels, guides), (25 * channels,)
        sizes += ((n, height, width, channels),) * grad
        return tuple(torch.from_numpy(rng.normal(0, 1, size)).to(dtype) for size in sizes)

    return inputs


def convolved(rng):
    frame, taps = torch.from_numpy(rng.random((2, 6, 33, 35), dtype=F)), rng.normal(0, 1 / 7, (2, 2, 7, 33, 35))
    return frame, *torch.from_numpy(taps.astype(F))


def _of_fasc(name: str, tolerance: float, reason: str, grad: bool) -> list[Twin]:
    return [Twin(f"fasc.cuda.{name}", getattr(fasc.reference, name), getattr(fasc.cuda, name),
                 lambda rng, shape=shape: filters(shape)(rng, grad=grad), tolerance, reason)
            for shape in ((2, 7, 9, 35, 3), (1, 1, 6, 8, 8), (3, 1, 1, 4, 5))]  # fmt: skip


FUSED = "float32 sums in another order; x^2.2 and a spline by recursion, good to 1e-5"
MATCHES = "float32 for float64; at a near tie of two matches another block is averaged in"
EXACT, ROUNDING = "the same bits", "float32 sums in another order"
TABLE = [
    *(Twin(f"exposure.{name}.integrate", exposure.reference.integrate, module.integrate, exposed(space, size), 1e-4,
           FUSED)
      for name, module in (("cpu", exposure.cpu), ("cuda", exposure.cuda))
      for space, size in (("", (37, 53)), ("linear", (64, 35)), ("code", (33, 64)), ("hdr", (48, 51)))),
    *(Twin(f"exposure.above_{name}.Lamps", exposure.reference.integrate, module.integrate, lamps(size, fused), 1e-4,
           FUSED)
      for name, module in (("cpu", exposure.cpu), ("cuda", exposure.cuda))
      for size, fused in (((37, 53), False), ((40, 48), True))),
    *(Twin(f"exposure.{name}.sample", exposure.reference.sample, module.sample, sampled, 1e-4, FUSED)
      for name, module in (("cpu", exposure.cpu), ("cuda", exposure.cuda))),
    *(Twin(f"exposure.{name}.average", exposure.reference.average, module.average, averaged(space), 2e-5, FUSED)
      for name, module in (("cpu", exposure.cpu), ("cuda", exposure.cuda)) for space in ("", "linear", "code", "hdr")),
    Twin("exposure.splat.fields", exposure.reference.fields, splat.fields, fields, 1e-3, "px; float32 for float64"),
    Twin("exposure.splat.deposit", compiled(splat.deposit.plain), compiled(splat.deposit), deposited, 1e-6, ROUNDING),
    Twin("exposure.bspline.mix", compiled(bspline.mix.plain), compiled(bspline.mix), mixed, 1e-6, ROUNDING),
    Twin("inverse_search.patch.compare", compiled(patch.compare.plain), compiled(patch.compare), compared, 1.0,
         ROUNDING + ", of 64 products of 1e3"),
    Twin("inverse_search.patch.moments", compiled(patch.moments.plain), compiled(patch.moments), summed, 1.0,
         ROUNDING + ", of 64 products of 1e3"),
    Twin("inverse_search.patch.vote", compiled(patch.vote.plain), compiled(patch.vote), voted, 1e-5, ROUNDING),
    *(Twin("inverse_search.cpu.flow", inverse_search.reference.flow, inverse_search.cpu.flow, flowed(settings, size),
           0.01, "px; a patch whose steps end at a near tie ends elsewhere", 0.97)
      for settings in ((4, 3, False), (4, 2, True), (8, 1, False)) for size in ((61, 75), (96, 101))),
    Twin("vbm4d.neighbours.improve", compiled(neighbours.improve.plain), compiled(neighbours.improve),
         neighbours_compared, 0.05, ROUNDING + ", of 64 squares of 1e2"),
    *(Twin(f"vbm4d.spectra.{name}", compiled(getattr(spectra, name).plain), compiled(getattr(spectra, name)), inputs,
           2e-4, ROUNDING + ", of values of 50")
      for name, inputs in (("transform", block_transformed), ("transform_back", spectrum_transformed),
                           ("over_nine", nine_blocks), ("over_nine_back", nine_blocks))),
    *(Twin(f"vbm4d.gains.{name}", compiled(getattr(gains, name).plain), compiled(getattr(gains, name)), inputs, 2e-4,
           ROUNDING + ", of values of 50 or 300") for name, inputs in (("zero_below", thresholded),
                                                                       ("attenuate", attenuated))),
    *(Twin(f"transfer.cpu.{name}", getattr(transfer.reference, name), getattr(transfer.cpu, name), inputs, 3e-5,
           "powers by polynomials, good to 2e-6 of values up to 14")
      for name, inputs in (("srgb_to_light", light_of_frames), ("light_to_srgb", light_of_frames),
                           ("lightness", light_of_frames), ("relight", lit_of_frames))),
    *(Twin("inverse_search.cuda.flows", inverse_search.window.flows, inverse_search.cuda.flows, window_of(size), 1e-4,
           "px; " + ROUNDING, 0.999) for size in ((61, 75), (48, 66))),
    Twin("inverse_search.cuda.codes", inverse_search.window.codes, inverse_search.cuda.codes, guided, 0, EXACT),
    *(Twin("exposure.acceleration_cuda.bends", lambda *given: acceleration.bends(*map(np.asarray, given)),
           exposure.acceleration_cuda.bends, bent(size), 1e-4, "px; " + ROUNDING) for size in ((37, 54), (20, 33))),
    *(Twin("demosaicing.cpu.demosaic", demosaicing.reference.demosaic, demosaicing.cpu.demosaic, mosaics(*size), 2e-5,
           ROUNDING + ", of weights that are inverse squares") for size in ((23, 30), (6, 7))),
    Twin("darkening.cpu.curve", darkening.reference.curve, darkening.cpu.curve, darkened, 1e-6, ROUNDING),
    Twin("darkening.cpu.adjust", darkening.reference.adjust, darkening.cpu.adjust, adjusted, 1e-5,
         "powers by polynomials, good to 2e-6"),
    Twin("vbm4d.blocks.add_block", compiled(blocks.add_block.plain), compiled(blocks.add_block), block_added, 1e-6,
         ROUNDING),
    *(Twin(f"vbm4d.{name}.Volumes", denoised(vbm4d.reference.Volumes), denoised(module.Volumes),
           volumes(first_pass, size, by_level), 0.05, "code values; " + MATCHES, 0.99)
      for name, module in (("cpu", vbm4d.cpu), ("cuda", vbm4d.cuda)) for first_pass in (True, False)
      for size, by_level in (((5, 18, 37), False), ((9, 13, 22), True))),
    *(Twin("vbm4d.groups_cpu.Groups", denoised(alone(vbm4d.grouped_reference.Groups)),
           denoised(alone(vbm4d.groups_cpu.Groups)), groups(first_pass), 0.05, "code values; " + MATCHES, 0.99)
      for first_pass in (True, False)),
    *_of_fasc("mix", 1e-4, ROUNDING, False),
    *_of_fasc("gradients", 1e-3, ROUNDING + ", of up to 126 pixels", True),
    Twin("sepconv.cuda.separable", sepconv.reference.separable, sepconv.cuda.separable, convolved, 1e-5, ROUNDING),
]  # fmt: skip
RECORDS = {"inverse_search.cpu.Fit", "inverse_search.cuda.Level"}
NO_TWINS = RECORDS | {"fasc.cuda.runs_on"}  # a condition


def flat(values) -> list[np.ndarray]:
    """The arrays and numbers in nested lists and tuples, in order."""
    if isinstance(values, torch.Tensor):
        return [values.detach().cpu().numpy()]
    if isinstance(values, (np.ndarray, float, np.number)):
        return [np.asarray(values)]
    return [one for value in values for one in flat(value)] if isinstance(values, (list, tuple)) else []


def moved(values, device: torch.device, arrays: bool):
    """A copy of the arguments, with tensors, and 4-D arrays if `arrays`, on the device."""
    if isinstance(values, torch.Tensor):
        return values.clone().to(device)
    if isinstance(values, np.ndarray):
        return torch.from_numpy(values).clone().to(device) if arrays and values.ndim == 4 else values.copy()
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*(moved(value, device, arrays) for value in values))
    return values


def results(function: Callable, inputs: tuple, device: str = "cpu", arrays: bool = False) -> list[np.ndarray]:
    """What a function returns, and what it leaves in its arguments."""
    given = [moved(value, torch.device(device), arrays) for value in inputs]
    return flat([function(*given), *given])


def check(case: Twin, got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        known = np.isfinite(theirs)  # what is not is poison that neither may read or write
        assert np.array_equal(np.isnan(ours), ~known)
        off = np.abs(ours[known].astype(float) - theirs[known])
        assert (off <= case.tolerance).mean() >= case.share if off.size else True, (off.max(), case.reason)


ON_CPU = [case for case in TABLE if "cuda." not in case.name]
ON_DEVICE = [case for case in TABLE if "cuda." in case.name]


def names(cases: list[Twin]) -> list[str]:
    return [f"{case.name}-{sum(other.name == case.name for other in cases[:n])}" for n, case in enumerate(cases)]


@pytest.mark.parametrize("case", ON_CPU, ids=names(ON_CPU))
def test_a_twin_on_the_cpu_is_its_reference(case, monkeypatch):
    inputs = case.inputs(np.random.default_rng(len(case.name)))
    expected = results(case.reference, inputs)
    results(case.twin, inputs)  # compiled before arrays are poisoned
    empty = np.empty

    def poisoned(shape, dtype=float, **more):
        array = empty(shape, dtype, **more)
        array.fill(np.nan if array.dtype.kind == "f" else 77)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    check(case, results(case.twin, inputs), expected)


@pytest.mark.parametrize("case", ON_DEVICE, ids=names(ON_DEVICE))
def test_a_twin_on_a_device_is_its_reference(case, cuda_device):
    inputs = case.inputs(np.random.default_rng(len(case.name)))
    check(case, results(case.twin, inputs, cuda_device, "vbm4d" in case.name), results(case.reference, inputs))


def twins() -> set[str]:
    """What the modules of the kernels hold: public functions and classes of cpu.py, cuda.py and their like, and
    whatever stands in for a plain loop."""
    found, root = set(), kernels.__name__ + "."
    for module in pkgutil.walk_packages(kernels.__path__, root):
        path = module.name.removeprefix(root)
        for name, value in vars(importlib.import_module(module.name)).items():
            own = getattr(value, "__module__", "") == module.name and not name.startswith("_")
            whole = "." in path and path.endswith(("cpu", "cuda")) and callable(value)
            if own and whole:
                found.add(f"{path}.{name}")
            elif hasattr(value, "plain") and value.plain.py_func.__module__ == module.name:
                found.add(f"{path}.{name}")
    return found


def test_every_twin_is_in_the_table():
    found = twins()
    assert found - NO_TWINS == {case.name for case in TABLE} - {"exposure.splat.fields"}
    assert {"exposure.cpu.integrate", "vbm4d.cuda.Volumes", "inverse_search.patch.vote"} <= found
