"""The exposure on CUDA, in one streaming pass: host side of exposure.cu, twin of reference.py.

Two prepared frames, the motion of CHUNK instants and the accumulators are all that is held: memory does not grow with
the number of samples. Every sum has a fixed order, or is one of integers: the same device gives the same bytes.
"""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.frames import GAMMA, LUMA
from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.exposure import above_cuda
from lolblur_synth.kernels.exposure.clip_reverse_rows import SPACES, display
from lolblur_synth.kernels.exposure.reference import BASELINE
from lolblur_synth.kernels.exposure.schedule import CHUNK, by_pair
from lolblur_synth.recipe.schema import ClipReverseConfig

SOURCE = "exposure/exposure"  # .cu
POLE = np.sqrt(3) - 2  # of the cubic B-spline filter (Unser 1999, Box 2)
RESPONSE = -6 * POLE / (1 - POLE**2) * POLE ** np.arange(15)  # POLE^15 = 3e-9
CARRIED = 5  # of exposure.cu: motion, 1 and bend of a cell
UNIT = 2.0**30  # fixed point of the splatted motion: 1e-9 of a pixel


def integrate(
    frames: Tensor,
    motion,
    instants: np.ndarray,
    config: ClipReverseConfig | None = None,
    r: float = 0.0,
    above: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), as `reference.integrate`; frames on the device."""
    lamps = None if above is None else above_cuda.Lamps(above)
    light, mask = torch.zeros_like(frames[0]), torch.zeros_like(frames[0])
    rule, (height, width) = _parameters(config, r), frames.shape[2:]
    threads, prepared = (width, height, 1), {}

    def add_faded(first: Tensor, second: Tensor, parts: np.ndarray) -> None:
        cuda.launch(SOURCE, "add_faded", threads, first, second, _upload(parts, frames.device), light, mask,
                    len(parts), height, width, *rule)  # fmt: skip

    for pair, parts in by_pair(instants, len(frames)):
        if motion.still[pair] or motion.cut[pair]:
            parts = np.round(parts) if motion.cut[pair] else parts
            add_faded(frames[pair], frames[pair + 1], parts)
            if lamps:
                lamps.add_faded(pair, parts, light)
            continue
        if motion.render_sample:  # a network that makes whole samples: each is its own cross-fade
            lit = (above,) if lamps and lamps.in_pair(pair) else ()
            for part in parts:
                rendered = motion.render_sample(frames, pair, float(part), *lit)
                shown = rendered[:3].contiguous()
                add_faded(shown, shown, np.zeros(1))
                if lit:
                    light += rendered[3:]
            continue
        prepared = {i: prepared[i] if i in prepared else _prepare(frames[i]) for i in (pair, pair + 1)}
        for start in range(0, len(parts), CHUNK):
            shares = _upload(parts[start : start + CHUNK], frames.device)
            field, off = _fields(motion, pair, shares)
            cuda.launch(SOURCE, "add_warped", threads, frames[pair], frames[pair + 1], prepared[pair],
                        prepared[pair + 1], field, off, shares, light, mask, len(shares), height, width,
                        *field.shape[1:3], *rule)  # fmt: skip
            if lamps:
                lamps.add_warped(pair, field, off, shares, light)
    return light.div_(len(instants)), mask.div_(len(instants))


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """One instant where neither `still` nor `cut` holds, as `reference.sample`: (3, H, W) display, 0..1."""
    ((pair, parts),) = by_pair(np.array([instant]), len(frames))
    (field, off), out = _fields(motion, pair, _upload(parts, frames.device)), torch.empty_like(frames[0])
    height, width = frames.shape[2:]
    cuda.launch(SOURCE, "render", (width, height, 1), frames[pair], frames[pair + 1], _prepare(frames[pair]),
                _prepare(frames[pair + 1]), field, off, parts[0], out, height, width,
                *field.shape[1:3])  # fmt: skip
    return out


def average(frames: Tensor, config: ClipReverseConfig | None = None, r: float = 0.0) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of given frames (T, 3, H, W), each a sample as it is."""
    count, _, height, width = frames.shape
    pixels = height * width
    padded, quads = frames.reshape(count, 3, pixels), -(-pixels // 4)  # whole quads: 16-byte accesses
    if pixels % 4 or padded.data_ptr() % 16:
        padded = torch.nn.functional.pad(padded, (0, -pixels % 4))
    light, mask = torch.empty_like(padded[0]), torch.empty_like(padded[0])
    cuda.launch(SOURCE, "add_given", (1024, -(-quads // 1024), 1), padded, light, mask, count, quads,
                *_parameters(config, r))  # fmt: skip
    return tuple((total[:, :pixels] / count).reshape(3, height, width) for total in (light, mask))


def _parameters(config: ClipReverseConfig | None, r: float) -> tuple[int | float | np.float64, ...]:
    """RULE_PARAMETERS of exposure.cu: space, Y and grey display value at the threshold, r, the ramp, gamma, luma."""
    config, space = config or ClipReverseConfig(), SPACES[config.space if config else "none"]
    y = ((config.threshold + 16) / 116) ** 3
    low, high = config.ramp
    rest = (display(y), r / 255, low / 255, 255 / (high - low), GAMMA, *LUMA)
    return space, np.float64(y), *rest


def _upload(values: np.ndarray, device: torch.device) -> Tensor:
    return cuda.upload(values, np.float32, device)


def _prepare(frame: Tensor) -> Tensor:
    """(3, H, W) -> spline coefficients (H + 3, W + 3, 4), see exposure.cu."""
    height, width = frame.shape[1:]
    response = _upload(RESPONSE, frame.device)
    size = len(RESPONSE) - 1, 1, height, width
    quads = torch.empty((height, width, 4), dtype=torch.float32, device=frame.device)
    cuda.launch(SOURCE, "spline_columns", (width, height, 1), frame, response, quads, *size)
    prepared = torch.empty((height + 3, width + 3, 4), dtype=torch.float32, device=frame.device)
    cuda.launch(SOURCE, "spline_rows", (width + 3, height + 3, 1), quads, response, prepared, *size)
    return prepared


def _fields(motion, pair: int, parts: Tensor) -> tuple[Tensor, Tensor]:
    """At n instants of a pair: (n, h, w, 4) motion in pixels an interval, shares of second frame and of cross-fade;
    (n, h, w, 2) how far the path is off the straight one, pixels."""
    forward, backward, bend = (
        torch.as_tensor(cells[pair], device=parts.device) for cells in (motion.forward, motion.backward, motion.bend)
    )
    height, width, count = *forward.shape[:2], len(parts)
    sums = torch.zeros((count, CARRIED, height, width), dtype=torch.int64, device=parts.device)
    size = count, height, width
    cuda.launch(SOURCE, "splat", (width, height, 2 * count), forward, backward, bend, parts, sums, UNIT, *size)
    field, off = (torch.empty((count, height, width, n), dtype=torch.float32, device=parts.device) for n in (4, 2))
    cuda.launch(SOURCE, "resolve", (width, height, count), forward, backward, parts, sums, field, off, UNIT,
                BASELINE, *size)  # fmt: skip
    if motion.correct_fields:  # a network that corrects it, on the CPU
        carried = torch.cat((field[..., :2], off), 3).permute(0, 3, 1, 2).contiguous().cpu().numpy()
        corrected = motion.correct_fields(pair, parts.cpu().numpy(), carried).transpose(0, 2, 3, 1)
        return _upload(corrected[..., [0, 1, 4, 5]], parts.device), _upload(corrected[..., 2:4], parts.device)
    return field, off
