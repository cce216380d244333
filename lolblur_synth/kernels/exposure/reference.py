"""The exposure in plain torch: the specification of cpu.py and of cuda.py with exposure.cu, which have the same
functions with the same arguments.

    sample(x) = (1 - g) [(1 - m) first(x - t v(x) + q(x)) + m second(x + (1 - t) v(x) + q(x))]
                + g [(1 - t) first(x) + t second(x)]

v: motion at the instant t, pixels an interval; q: how far the path is off the straight one, pixels; m: the share of the
second frame, t, or less where only the first frame shows the point; g: the share of a cross-fade, 0 unless a network
sets it. v and q are held on cells of 2x2 pixels; they come from the motion of both frames, each cell of which is
carried along its own motion to t ("splatted"). A frame is fetched by a cubic B-spline through its pixels.

Light above white goes the same way, but is fetched bilinearly in linear light: a spline would ring beside a lamp of
many times white, to light below zero, and linear interpolation keeps the sum of the light.

`carry`, `fetch` and `render` have gradients: the network of models/flow.py is trained through these functions.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import spline_filter
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.kernels.exposure.schedule import by_pair
from lolblur_synth.recipe.schema import ClipReverseConfig

CELL = 2  # pixels a cell of the motion grid
BASELINE = 1e-3  # weight of motion that is not carried: it fills cells on which none lands
OUTSIDE = 1e-6  # weight of a fetch from outside of its frame: it counts only where neither frame shows the point


def integrate(
    frames: Tensor,
    motion,
    instants: np.ndarray,
    config: ClipReverseConfig | None = None,
    r: float = 0.0,
    above: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of the samples at `instants`.

    frames: (T, 3, H, W) float32 display, 0..1; motion: `interpolate.Motion` of those frames; instants: positions in
    frames, 0..T-1, ascending; config, r: see `light_and_mask`; above: (T, 3, H, W) linear light above white of the
    frames, 0 or more, which is added to the light.
    """

    def samples() -> Iterable[Tensor]:
        for pair, parts in by_pair(instants, len(frames)):
            first, second = frames[pair], frames[pair + 1]
            for part in parts:
                if motion.still[pair] or motion.cut[pair]:
                    yield first + float(np.round(part) if motion.cut[pair] else part) * (second - first)
                elif motion.render_sample:
                    yield motion.render_sample(frames, pair, float(part))
                else:
                    yield sample(frames, motion, pair + float(part))

    light, mask = average(samples(), config, r)
    return light if above is None else light + mean_above(frames, above, motion, instants), mask


def mean_above(frames: Tensor, above: Tensor, motion, instants: np.ndarray) -> Tensor:
    """Mean over `instants` of the light above white, (3, H, W); arguments as for `integrate`."""
    total = torch.zeros_like(above[0])
    for pair, parts in by_pair(instants, len(above)):
        first, second = above[pair], above[pair + 1]
        for part in parts:
            if motion.still[pair] or motion.cut[pair]:
                total += first + float(np.round(part) if motion.cut[pair] else part) * (second - first)
            elif motion.render_sample:
                total += motion.render_sample(frames, pair, float(part), above)[3:]
            else:
                cells, t = cells_at(motion, pair, np.array([part], np.float32), above.device)
                total += render(first[None], second[None], (first[None], second[None]), cells, t, bilinear)[0]
    return total / len(instants)


def average(frames: Iterable[Tensor], config: ClipReverseConfig | None = None, r: float = 0.0) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of frames (3, H, W) display that may come one at a time."""
    total, count = [torch.zeros(()), torch.zeros(())], 0
    for frame in frames:
        total = [sums + values[0] for sums, values in zip(total, light_and_mask(frame[None], config, r), strict=True)]
        count += 1
    light, mask = total
    return light / count, (mask / count).expand_as(light)


def light_and_mask(display: Tensor, config: ClipReverseConfig | None, r: float = 0.0) -> tuple[Tensor, Tensor]:
    """Linear light (T, 3, H, W) of display frames, and how far each pixel is saturated, 0..1 or a bool: (T, 3 or 1,
    H, W).

    config: of clip_reverse, None to leave it out. r: code values that space "code" adds to saturated pixels; in the
    other spaces what is added is proportional to the mask, and left to the caller.
    """
    if config is None:
        return fr.to_linear(display), torch.zeros_like(display[:, :1])
    if config.space == "hdr":
        return fr.to_linear(display), clipped(display, config.ramp)
    mask = saturated(display, config.threshold)
    return fr.to_linear(display + mask * (r / 255) if config.space == "code" else display), mask


def clipped(display: Tensor, ramp: tuple[float, float]) -> Tensor:
    """How far each value of display frames is clipped, 0..1, rising over `ramp`, in 8-bit code values."""
    low, high = ramp
    return ((display - low / 255) * (255 / (high - low))).clamp_(0, 1)


def saturated(display: Tensor, threshold: float = 98.0) -> Tensor:
    """(T, 3, H, W) display -> (T, 1, H, W) bool: CIE L* > threshold, exact for every 8-bit colour."""
    return fr.luminance(display) > ((threshold + 16) / 116) ** 3


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """The frame at the position `instant` of (T, 3, H, W), where neither `still` nor `cut` holds: (3, H, W), 0..1."""
    ((pair, parts),) = by_pair(np.array([instant]), len(frames))
    first, second = frames[pair, None], frames[pair + 1, None]
    cells, t = cells_at(motion, pair, parts, frames.device)
    return render(first, second, (spline(first), spline(second)), cells, t)[0].clamp(0, 1)


def cells_at(motion, pair: int, parts: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """The cells (1, 6, h, w) that `render` takes, and the instant t (1, 1, 1, 1), of one fraction of an interval."""
    cells = fields(motion.forward[pair], motion.backward[pair], motion.bend[pair], parts)
    if motion.correct_fields:
        cells = motion.correct_fields(pair, parts, cells)
    t = torch.tensor(parts[0], device=device).view(1, 1, 1, 1)
    cells = torch.from_numpy(np.ascontiguousarray(cells)).to(device)
    if not motion.correct_fields:
        cells = torch.cat((cells, t.expand_as(cells[:, :1]), torch.zeros_like(cells[:, :1])), 1)
    return cells, t


def fields(forward: np.ndarray, backward: np.ndarray, bend: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(h, w, 3) motion and trust, both ways, (2, h, w, 2) bend of either frame -> (n, 4, h, w) at each of n instants:
    v and q. On the CPU in float64."""
    both = [torch.from_numpy(flow).double().permute(2, 0, 1)[None] for flow in (forward, backward)]
    bends = torch.from_numpy(bend).double().permute(0, 3, 1, 2)[None]
    carried = [carry(*both, bends, torch.full((1, 1, 1, 1), float(t), dtype=torch.float64)) for t in parts]
    return torch.cat(carried).float().numpy()


def carry(forward: Tensor, backward: Tensor, bend: Tensor, t: Tensor) -> Tensor:
    """(N, 4, h, w), v and q at the instants t (N, 1, 1, 1), of motion and trust (N, 3, h, w) both ways and of bend (N,
    2, 2, h, w), half the acceleration of each cell of either frame."""
    sums = _splat(forward, bend[:, 0], t, 1, 1 - t) + _splat(backward, bend[:, 1], 1 - t, -1, t)
    resting = (1 - t) * forward[:, :2] - t * backward[:, :2]
    total = sums[:, 2:3] + BASELINE
    return torch.cat((sums[:, :2] + BASELINE * resting, t * (1 - t) * sums[:, 3:]), 1) / total


def _splat(flow: Tensor, bend: Tensor, t: Tensor, sign: int, weight: Tensor) -> Tensor:
    """Carry each cell along the fraction t of its motion, and add trust * (sign * motion, 1, bend) to the four cells
    that it lands on, by how much of each it covers: (N, 5, h, w)."""
    count, _, height, width = flow.shape
    x, y = (grid(flow) + t * flow[:, :2] / CELL).unbind(1)
    low_x, low_y = x.detach().floor(), y.detach().floor()
    value = torch.cat((sign * flow[:, :2], torch.ones_like(flow[:, :1]), bend), 1) * weight * flow[:, 2:]
    base = torch.arange(count, device=flow.device).view(-1, 1, 1) * (height * width)
    sums = flow.new_zeros(count * height * width, 5)
    for row, down in ((low_y, low_y + 1 - y), (low_y + 1, y - low_y)):
        for column, right in ((low_x, low_x + 1 - x), (low_x + 1, x - low_x)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = base + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            share = (down * right * inside)[:, None] * value
            sums = sums.index_add(0, index.flatten(), share.permute(0, 2, 3, 1).reshape(-1, 5))
    return sums.view(count, height, width, 5).permute(0, 3, 1, 2)


def render(
    first: Tensor,
    second: Tensor,
    splines: tuple[Tensor, Tensor],
    cells: Tensor,
    t: Tensor,
    take: Callable | None = None,
) -> Tensor:
    """The equation above, (N, 3, H, W), not clipped. splines: of both frames; cells: (N, 6, h, w) v, q, m, g.

    take: how a pixel is fetched, `fetch` if None; `bilinear` takes the frames themselves for splines.
    """
    take = take or fetch
    height, width = first.shape[2:]
    pixels = F.interpolate(cells, scale_factor=CELL, mode="bilinear")[:, :, :height, :width]
    v, q, m, g = pixels.split((2, 2, 1, 1), 1)
    back, ahead = q - t * v, q + (1 - t) * v
    a, b = take(splines[0], back), take(splines[1], ahead)
    seen_a, seen_b = (1 - m) * (inside(back) + OUTSIDE), m * (inside(ahead) + OUTSIDE)
    moved = a + seen_b / (seen_a + seen_b) * (b - a)
    return moved + g * (first + t * (second - first) - moved)


def spline(frames: Tensor) -> Tensor:
    """(N, C, H, W) -> coefficients of the cubic B-splines through the pixels, mirrored at the borders."""
    planes = [spline_filter(plane, 3, np.float32, "mirror") for plane in frames.flatten(0, 1).cpu().numpy()]
    return torch.from_numpy(np.stack(planes)).view(frames.shape).to(frames.device)


def fetch(spline: Tensor, motion: Tensor) -> Tensor:
    """(N, C, H, W): each pixel from where `motion` (N, 2, H, W), in pixels, points to; spline: coefficients.

    Four bilinear fetches are one cubic one (Sigg & Hadwiger 2005, GPU Gems 2, chapter 20); torch has their gradient.
    """
    height, width = spline.shape[2:]
    last = spline.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    place = torch.minimum((grid(spline) + motion).clamp_min(0), last)
    low = place.detach().floor()
    f = place - low
    g = 1 - f
    w0, w1, w3 = g**3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, f**3 / 6
    before = w0 + w1
    near = low + w1 / before  # in the padded image, one pixel further on: low - 1 + w1 / before + 1
    far = low + 2 + w3 / (1 - before)
    padded = F.pad(spline, (1, 2, 1, 2), mode="reflect")
    total = torch.zeros_like(spline)
    for x, right in ((near[:, :1], before[:, :1]), (far[:, :1], 1 - before[:, :1])):
        for y, down in ((near[:, 1:], before[:, 1:]), (far[:, 1:], 1 - before[:, 1:])):
            total = total + down * right * look_up(padded, torch.cat((x, y), 1))
    return total


def bilinear(image: Tensor, motion: Tensor) -> Tensor:
    """(N, C, H, W): each pixel of an image from where `motion` (N, 2, H, W), in pixels, points to."""
    return look_up(image, grid(image) + motion)


def look_up(image: Tensor, place: Tensor) -> Tensor:
    """`image` (N, C, H, W) at the points `place` (N, 2, h, w), x and y in its pixels, bilinear, held at its borders."""
    height, width = image.shape[2:]
    scale = place.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)]).view(1, 2, 1, 1)
    return F.grid_sample(image, (place * scale - 1).permute(0, 2, 3, 1), "bilinear", "border", align_corners=True)


def inside(motion: Tensor) -> Tensor:
    """1 where a fetch is within the frame, falling to 0 one pixel outside of it: (N, 1, H, W)."""
    place = grid(motion) + motion
    last = place.new_tensor([motion.shape[3] - 1, motion.shape[2] - 1]).view(1, 2, 1, 1)
    return (1 - torch.maximum(-place, place - last).clamp_min(0)).clamp_min(0).prod(1, keepdim=True)


def grid(image: Tensor) -> Tensor:
    """(1, 2, H, W): x and y of each pixel of (N, C, H, W)."""
    height, width = image.shape[2:]
    y = torch.arange(height, dtype=image.dtype, device=image.device).view(1, -1, 1).expand(1, height, width)
    x = torch.arange(width, dtype=image.dtype, device=image.device).view(1, 1, -1).expand(1, height, width)
    return torch.stack((x, y), 1)
