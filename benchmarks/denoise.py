"""How well and how fast does `denoise` work? Gaussian noise of known sigma on real clips; a Markdown table a question.

    python benchmarks/denoise.py [CLIP ...] [--sigma 10 20] [--profile fast vbm4d] [--exchange DIR [--peer PYTHON]]
    python benchmarks/denoise.py [CLIP ...] --cost-only | --estimate-only | --artefacts | --threads ROUNDS
    python benchmarks/denoise.py --hand CLIP FIRST Y X Y X ... [--hand ...]

A clip is a video or a folder of PNGs; without one: the bundled sample. Of every clip 14 frames from its middle are
taken, and the centre of 384x224 pixels after scaling to at most 576 rows. `handheld250` is the middle frame
of the first clip by name on a smooth sub-pixel path of about one pixel a frame.
"Inside" leaves out the first and last 4 frames. With --exchange, the noisy clips are saved as DIR/noisy-CLIP-SIGMA.npy
(T, H, W, 3) float32, 8-bit code values, and what others made of them, DIR/NAME-CLIP-SIGMA.npy, is measured beside;
--peer is a Python with bm3dcpu, which is asked first (`benchmarks/denoise_peer.py`).

--threads: wall clock of one thread, of two, and of two processes of one thread each that have nothing to do with each
other, in turns. What two processes do in the time of one is the most that two threads can give on this machine.

--hand compares the estimate on real footage with measurements by hand on patches of 48x48 pixels that the user has seen
to be flat and static. "By hand": the deviation of each pixel over up to 17 frames from FIRST, after the mean of the
patch was taken from every frame (light flickers), root mean square over pixels and channels. Beside it, not compared:
that of the difference to the next frame over the square root of two (a codec that copies hides noise from it), and the
deviation in space after a plane was taken out (which sees texture and what stands still). The estimate sees the 9
frames from FIRST and is read at the mean level of the patch. Such a clip's own noise is also why the estimate for added
noise is compared with the root of the sum of squares of the added and the own one.
"""

import argparse
import multiprocessing
import subprocess
import time
from pathlib import Path

import cv2
import numba
import numpy as np
import torch
from harness import psnr
from skimage.metrics import structural_similarity

from lolblur_synth.commands import options
from lolblur_synth.files.video import find, probe, read
from lolblur_synth.kernels.vbm4d.noise_level import at
from lolblur_synth.recipe.schema import DenoiseConfig, InputConfig
from lolblur_synth.stages import denoise

FRAMES, WIDTH, HEIGHT = 14, 384, 224
LUMA = np.array([0.299, 0.587, 0.114])  # BT.601, as the peers' SSIM-Y


def clips_of(paths: list[Path]) -> dict[str, np.ndarray]:
    """name -> (T, H, W, 3) uint8."""
    clips, first = {}, None
    for source in find(paths)[0]:
        video = probe(source, InputConfig(), fps=250.0)
        start = max(0, (video.frames - FRAMES) // 2)
        frames = [scaled(frame) for frame in read(video, start, min(video.frames, start + FRAMES))]
        first = frames[len(frames) // 2] if first is None else first
        clips[source.path.stem] = np.stack([centre(frame) for frame in frames])
    return clips | {"handheld250": handheld(first)}


def scaled(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32, 0..1 -> uint8, at most 576 rows."""
    factor = min(1.0, 576 / frame.shape[0])
    frame = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.rint(255 * frame).astype(np.uint8)


def centre(frame: np.ndarray) -> np.ndarray:
    top, left = (frame.shape[0] - HEIGHT) // 2, (frame.shape[1] - WIDTH) // 2
    return frame[top : top + HEIGHT, left : left + WIDTH]


def enlarged(clip: np.ndarray) -> np.ndarray:
    """The frames at 1120x640."""
    return np.stack([cv2.resize(frame, (1120, 640), interpolation=cv2.INTER_CUBIC) for frame in clip])


def handheld(frame: np.ndarray) -> np.ndarray:
    """A still on the path of a hand: sums of slow sines, about one pixel a frame, and a slight roll."""
    time = np.arange(FRAMES) / FRAMES
    dx = 2.5 * np.sin(4.4 * time + 0.3) + np.sin(11.9 * time + 1)
    dy = 1.9 * np.sin(5.0 * time + 2) + np.sin(13.2 * time)
    frames = []
    for t in range(FRAMES):
        move = cv2.getRotationMatrix2D((frame.shape[1] / 2, frame.shape[0] / 2), 0.2 * np.sin(3.1 * time[t]), 1)
        move[:, 2] += dx[t], dy[t]
        frames.append(
            centre(
                cv2.warpAffine(frame, move, frame.shape[1::-1], flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
            )
        )
    return np.stack(frames)


def noisy_of(clip: np.ndarray, sigma: int) -> np.ndarray:
    return clip + sigma * np.random.Generator(np.random.PCG64(sigma)).standard_normal(clip.shape, dtype=np.float32)


def denoised(noisy: np.ndarray, noise: float | denoise.Draw, profile: str = "fast") -> np.ndarray:
    draw = noise if isinstance(noise, denoise.Draw) else denoise.Draw(noise)
    result = denoise.apply(stack_of(noisy), DenoiseConfig(profile=profile), draw)
    return result.numpy().transpose(0, 2, 3, 1) * 255


def stack_of(frames: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) in 8-bit code values -> (T, 3, H, W), 0..1."""
    return torch.from_numpy(frames.transpose(0, 3, 1, 2) / np.float32(255)).contiguous()


def psnr_of(result: np.ndarray, clean: np.ndarray) -> list[float]:
    """PSNR-RGB in dB of each frame (T, H, W, 3), clipped to 0..255."""
    pairs = zip(np.clip(result, 0, 255), clean.astype(np.float32), strict=True)
    return [psnr(a, b, 255.0) for a, b in pairs]


def measures(result: np.ndarray, clean: np.ndarray) -> list[float]:
    """PSNR-RGB inside and over the whole clip, SSIM-Y over the whole clip, mean over frames."""
    by_frame = psnr_of(result, clean)
    result, clean = np.clip(result, 0, 255), clean.astype(np.float32)
    ssim = [
        structural_similarity(
            a @ LUMA, b @ LUMA, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(result, clean, strict=True)
    ]
    return [np.mean(by_frame[4:-4]), np.mean(by_frame), np.mean(ssim)]


def ask_peer(clips: dict[str, np.ndarray], sigmas: list[int], exchange: Path, peer: str | None) -> None:
    """Save the noisy clips for others, and let the peer work on them."""
    exchange.mkdir(parents=True, exist_ok=True)
    for name, clip in clips.items():
        for sigma in sigmas:
            np.save(exchange / f"noisy-{name}-{sigma}.npy", noisy_of(clip, sigma))
    if peer:
        subprocess.run([peer, Path(__file__).with_name("denoise_peer.py"), exchange], check=True)


def quality(clips: dict[str, np.ndarray], sigmas: list[int], profiles: list[str], exchange: Path | None) -> None:
    for sigma in sigmas:
        rows: dict[str, dict] = {}
        for name, clip in clips.items():
            noisy = noisy_of(clip, sigma)
            rows.setdefault("noisy", {})[name] = measures(noisy, clip)
            for profile in profiles:
                rows.setdefault(profile, {})[name] = measures(denoised(noisy, sigma, profile), clip)
            if exchange:
                for file in sorted(exchange.glob(f"*-{name}-{sigma}.npy")):
                    other = file.name.removesuffix(f"-{name}-{sigma}.npy")
                    if other != "noisy":
                        rows.setdefault(other, {})[name] = measures(np.load(file), clip)
        print(f"\n### sigma {sigma}: PSNR-RGB inside / whole clip / SSIM-Y\n\n| | {' | '.join(clips)} | mean |")
        print("|---" * (len(clips) + 2) + "|")
        for row, cells in rows.items():
            shown = [cells[name] for name in clips if name in cells]
            shown = [f"{a:.2f} / {b:.2f} / {c:.4f}" for a, b, c in [*shown, np.mean(shown, 0)]]
            print(f"| {row} | {' | '.join(shown)} |", flush=True)


def by_hand(path: str, first: int, corners: list[tuple[int, int]]) -> None:
    """A line a patch: the estimate at its level beside the measurements by hand; see the top."""
    video = probe(find([Path(path)])[0][0], InputConfig(), fps=250.0)
    frames = np.stack([255 * frame for frame in read(video, first, min(first + 17, video.frames))])
    noise = denoise.estimate(stack_of(frames[:9]))
    y, x = np.mgrid[:48, :48].reshape(2, -1)
    plane = np.stack([y, x, np.ones_like(y)], 1) @ np.linalg.pinv(np.stack([y, x, np.ones_like(y)], 1))
    for y, x in corners:
        patch = frames[:, y : y + 48, x : x + 48].reshape(len(frames), -1, 3)
        level = float(patch.mean())
        still = patch - patch.mean(1, keepdims=True)
        hand = np.sqrt(still.var(0, ddof=1).mean())
        next_frame = np.sqrt(np.square(np.diff(still, axis=0)).mean() / 2)
        space = np.sqrt(np.square(patch - plane @ patch).mean())
        found = float(at(noise.curve, level)) if noise.curve else noise.sigma
        print(f"| {Path(path).stem}, {first} | {y} {x} | {level:.0f} | {hand:.2f} | {next_frame:.2f} | {space:.2f} "
              f"| {found:.2f} | {found / hand - 1:+.0%} | {noise.sigma:.2f} |", flush=True)  # fmt: skip


def added(clips: dict[str, np.ndarray], sigmas: list[int]) -> None:
    """The estimate of sigma for added noise, over what it should be, given the noise that the clip has already."""
    print(f"\n### estimate / (added and own noise)\n\n| clip | own | {' | '.join(map(str, sigmas))} |")
    print("|---" * (len(sigmas) + 2) + "|")
    for name, clip in clips.items():
        own, *found = (
            denoise.estimate(stack_of(noisy)).sigma
            for noisy in (clip[:9].astype(np.float32), *(noisy_of(clip[:9], sigma) for sigma in sigmas))
        )
        cells = [f"{value / np.hypot(sigma, own):.3f}" for value, sigma in zip(found, sigmas, strict=True)]
        print(f"| {name} | {own:.2f} | {' | '.join(cells)} |", flush=True)


def resident() -> float:
    """Memory of this process, GiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**30


def artefacts(clips: dict[str, np.ndarray], sigma: int = 20) -> None:
    """Block grid: mean step of the error between neighbouring columns and rows, by place modulo 8, least and most, over
    their mean. Flicker: deviation over time of the middle frame held still, noisy and denoised."""
    print(f"\n### artefacts of fast, sigma {sigma}\n\n| clip | columns | rows | flicker, noisy and denoised |")
    print("|---" * 4 + "|")
    for name, clip in clips.items():
        error = (denoised(noisy_of(clip, sigma), sigma, "fast") - clip)[4:-4]
        cells = []
        for axis in (2, 1):
            step = np.moveaxis(np.abs(np.diff(error, axis=axis)), axis, 0).reshape(error.shape[axis] - 1, -1).mean(1)
            by_place = np.array([step[k::8].mean() for k in range(8)])
            cells.append("{:.2f} to {:.2f}".format(*(np.array([by_place.min(), by_place.max()]) / by_place.mean())))
        noisy = noisy_of(np.repeat(clip[len(clip) // 2][None], len(clip), 0), sigma)
        shaken = [frames[4:-4].std(0, ddof=1).mean() for frames in (noisy, denoised(noisy, sigma, "fast"))]
        print(f"| {name} | {cells[0]} | {cells[1]} | {shaken[0]:.2f} {shaken[1]:.2f} |", flush=True)


def cost(clip: np.ndarray, profiles: list[str], exchange: Path | None, peer: str | None, sigma: int = 20) -> None:
    """Frames of 1120x640 through `stream`: time, and what the process grew by; the peer's radius 2 on the same."""
    print(
        "\n### cost at 1120x640\n\n| profile | threads | CPU-s/MPf | wall s/MPf | memory growth, GiB |\n"
        "|---|---|---|---|---|"
    )
    big = enlarged(clip)
    frames = stack_of(noisy_of(np.concatenate([big, big[::-1]]), sigma))
    for profile in profiles:
        config, draw = DenoiseConfig(profile=profile), denoise.Draw(sigma)
        list(denoise.stream(frames[:2, :, :64, :64], config, draw))
        for threads in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            before, most, cpu, wall = resident(), 0.0, time.process_time(), time.perf_counter()
            for _ in denoise.stream(frames, config, draw):
                most = max(most, resident())
            pixels = len(frames) * 1120 * 640 / 1e6
            cpu, wall = (time.process_time() - cpu) / pixels, (time.perf_counter() - wall) / pixels
            grown = most - before
            print(f"| {profile} | {threads} | {cpu:.2f} | {wall:.2f} | {grown:.2f} |", flush=True)
    if exchange and peer:
        np.save(exchange / "cost-noisy.npy", 255 * frames.numpy().transpose(0, 2, 3, 1))
        command = [peer, Path(__file__).with_name("denoise_peer.py"), exchange, "--cost", "--radius", "2"]
        subprocess.run(command, check=True)


def threads(clip: np.ndarray, rounds: int) -> None:
    noisy = noisy_of(enlarged(clip[:9]), 20)
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(3), context.Barrier(3)
    others = [context.Process(target=_alone, args=(noisy, rounds, start, done), daemon=True) for _ in range(2)]
    for other in others:
        other.start()
    print("\n| round | one thread, s | two threads | two processes | two threads are | two processes are |")
    print("|---" * 6 + "|")
    for number in range(rounds + 1):
        walls = []
        for count in (1, 2):
            numba.set_num_threads(count)
            began = time.perf_counter()
            denoised(noisy, 20.0)
            walls.append(time.perf_counter() - began)
        start.wait()
        began = time.perf_counter()
        done.wait()
        one, two, both = *walls, time.perf_counter() - began
        if number:  # the first one compiles
            gains = f"{one / two:.2f} times one | {2 * one / both:.2f}"
            print(f"| {number} | {one:.2f} | {two:.2f} | {both:.2f} | {gains} |", flush=True)


def _alone(noisy: np.ndarray, rounds: int, start, done) -> None:
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    for _ in range(rounds + 1):
        start.wait()
        denoised(noisy, 20.0)
        done.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--sigma", nargs="+", type=int, default=[10, 20, 40])
    parser.add_argument("--profile", nargs="+", default=["fast"])
    parser.add_argument("--exchange", type=Path)
    parser.add_argument("--peer")
    parser.add_argument("--hand", nargs="+", action="append", default=[])
    parser.add_argument("--cost-only", action="store_true")
    parser.add_argument("--estimate-only", action="store_true")
    parser.add_argument("--artefacts", action="store_true")
    parser.add_argument("--threads", type=int, metavar="ROUNDS")
    given = parser.parse_args()
    if given.hand:
        print("| clip, first frame | y x | level | by hand | next frame | in space | curve | difference | one sigma |")
        print("|---" * 9 + "|")
    for path, first, *corners in given.hand:
        by_hand(path, int(first), list(zip(map(int, corners[::2]), map(int, corners[1::2]), strict=True)))
    if given.hand and not given.clips:
        return
    loaded = clips_of(given.clips or [options.sample_clip()])
    if given.threads:
        threads(loaded["handheld250"], given.threads)
        return
    if given.artefacts:
        artefacts(loaded)
        return
    if given.exchange and not given.cost_only:
        ask_peer(loaded, given.sigma, given.exchange, given.peer)
    if not given.cost_only:
        added(loaded, [2, *given.sigma])
        if not given.estimate_only:
            quality(loaded, given.sigma, given.profile, given.exchange)
    if not given.estimate_only:
        cost(loaded["handheld250"], given.profile, given.exchange, given.peer)


if __name__ == "__main__":
    main()
