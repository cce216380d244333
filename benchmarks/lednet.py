"""LEDNet's costs: python benchmarks/lednet.py [forward | step | overfit | ablations DATA TEST]

forward    1280x720 on one CPU thread: CPU-seconds and peak memory, ours against the form with unfolded filters
step       a training step, the same two; on a GPU also with their kernels recorded, as train-lednet --graph does, and
           ours compiled, as --compile does
overfit    eight pairs learned by heart: PSNR must pass 35 dB
ablations  the paper's Table 3 on a small budget: four variants and the whole, trained on DATA and
           scored on the test split of TEST
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from lolblur_synth.metrics import image_quality
from lolblur_synth.models import fasc, lednet
from lolblur_synth.tools.evaluate import evaluate
from lolblur_synth.training.lednet import train_lednet
from lolblur_synth.training.lednet_parts import ADAM_BETAS, WithSide, recorded
from lolblur_synth.training.losses import lednet_loss

ABLATIONS = {
    "whole": {},
    "no PPM": {"ppm": False},
    "no CurveNLU": {"curve": False},
    "concat": {"skip": "concat"},
    "no L_en": {"side_loss": False},
}


def unfold_form(feature, guide, weight, bias):
    """Every filter (25 C maps) and every neighbourhood laid out in full, as the published layer does."""
    n, c, h, w = feature.shape
    filters = F.conv2d(guide, weight, bias).view(n, c, 25, h, w).permute(0, 1, 3, 4, 2)
    patches = F.pad(feature, (2, 2, 2, 2), "replicate").unfold(2, 5, 1).unfold(3, 5, 1).reshape(n, c, h, w, 25)
    return F.leaky_relu((filters * patches).sum(-1), 0.2)


def measure(task: str, form: str) -> dict:
    """One form in a process of its own, so that its peak memory is its own."""
    done = subprocess.run([sys.executable, __file__, task, "--form", *form.split()], capture_output=True, text=True,
                          check=True)  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def forward() -> dict:
    torch.manual_seed(0)
    net, x = lednet.LEDNet().eval(), torch.rand(1, 3, 720, 1280)
    with torch.no_grad():
        lednet.enhance(net, x[..., :64, :64])
        start = time.process_time()
        out = lednet.enhance(net, x)
    return {
        "cpu_seconds": round(time.process_time() - start, 2),
        "mean": out.mean().item(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def step(form: list[str]) -> dict:
    """Crops of 256; batch 8 on a GPU, 1 on a CPU. form: "recorded" as `train-lednet --graph` does, "compiled" as
    --compile does."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    net, x = lednet.LEDNet(), torch.rand(8 if device == "cuda" else 1, 3, 256, 256, device=device)
    lednet.initialise(net)
    net.to(device, memory_format=torch.channels_last if device == "cuda" else torch.contiguous_format)
    adam = torch.optim.Adam(net.parameters(), 1e-4, ADAM_BETAS, fused=device == "cuda")
    model, half = WithSide(net, True), {"device_type": device, "dtype": torch.bfloat16, "enabled": device == "cuda"}
    if "compiled" in form:
        model = torch.compile(model)
    elif "recorded" in form and device == "cuda":
        model = recorded(model, x, torch.autocast(**half, cache_enabled=False))
    losses, count = [], 40 if device == "cuda" else 2
    for number in range(count):
        if number == count // 2:
            start, cpu = time.monotonic(), time.process_time()
        with torch.autocast(**half):
            side, out = model(x)
        loss = lednet_loss(side.float(), out.float(), x, None)["loss"]
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        losses.append(loss.item())  # waits for the device, as a training does
    peak = (
        torch.cuda.max_memory_allocated() >> 20
        if device == "cuda"
        else (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
    )
    return {
        "seconds_per_step": round((time.monotonic() - start) / (count - count // 2), 4),
        "peak_mb": peak,
        "cpu_seconds_per_step": round((time.process_time() - cpu) / (count - count // 2), 3),
        "losses": [round(loss, 4) for loss in losses[:: max(1, count // 5)]],
        "loss": losses[-1],
    }


def overfit(size: int = 32, steps: int = 3000, rate: float = 2e-3) -> dict:
    """Eight smooth scenes, dark and blurred, a network of quarter width."""
    generator = np.random.default_rng(0)
    high = [
        cv2.resize(generator.random((5, 5, 3)), (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        for _ in range(8)
    ]
    low = [0.3 * cv2.GaussianBlur(frame, (0, 0), 1.5) ** 2.2 for frame in high]
    high, low = (torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() for frames in (high, low))
    torch.manual_seed(0)
    net = lednet.LEDNet(0.25)
    lednet.initialise(net)
    adam = torch.optim.Adam(net.parameters(), rate, ADAM_BETAS)
    for number in range(steps):
        adam.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * number / steps))
        side, out = net(low, side_loss=True)
        adam.zero_grad()
        lednet_loss(side, out, high, None)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        if number % 100 == 99:
            psnr = image_quality.psnr_rgb(out.detach().clamp(0, 1), high).mean().item()
            print(f"step {number + 1}: {psnr:.2f} dB, {time.process_time():.0f} CPU-s", flush=True)
            if psnr > 35:
                break
    return {"steps": number + 1, "psnr": psnr}


def ablations(data: Path, test: Path, iterations: int, seed: int) -> dict:
    """PSNR and SSIM on the test clips of each variant, after the same small training."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in ABLATIONS.items():
            start = time.process_time()
            out = Path(folder) / name
            train_lednet(
                data,
                out,
                quiet=True,
                preset="paper",
                iterations=iterations,
                width=0.25,
                crop=96,
                batch=4,
                lr=2e-3,
                ema=0.99,
                perceptual="none",
                workers=0,
                val_pairs=1,
                seed=seed,
                **options,
            )
            scored = evaluate(out, test, quiet=True, metrics="psnr_rgb,ssim_y", baselines=False)["mean"]
            found[name] = scored | {"cpu_seconds": round(time.process_time() - start)}
            print(name, json.dumps(found[name]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", default="forward", choices=("forward", "step", "overfit", "ablations"))
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--form", nargs="+", choices=("ours", "unfold", "recorded", "compiled"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    if words.task == "ablations" and len(words.data) != 2:
        parser.error("ablations needs two datasets, DATA and TEST, made by lolblur-synth build")
    torch.set_num_threads(1)
    if words.form and "unfold" in words.form:
        fasc.adaptive_conv = unfold_form
    if words.task == "ablations":
        print(json.dumps(ablations(*words.data, words.iterations, words.seed), indent=1))
    elif words.task == "overfit":
        print(json.dumps(overfit()))
    elif words.form:
        print(json.dumps(forward() if words.task == "forward" else step(words.form)))
    else:
        on_gpu = words.task == "step" and torch.cuda.is_available()
        forms = ("ours", "unfold", *(("ours recorded", "unfold recorded", "ours compiled") if on_gpu else ()))
        ratios: dict[str, list[float]] = {}
        for _ in range(words.rounds):  # in turn, so that other work on the machine meets both
            found = {form: measure(words.task, form) for form in forms}
            for form, figures in found.items():
                print(form, json.dumps(figures), flush=True)
            for key in ("peak_mb", next(key for key in found["unfold"] if "seconds" in key)):
                ratios.setdefault(key, []).append(found["ours"][key] / found["unfold"][key])
        print("ours / unfold, median", {key: round(statistics.median(values), 3) for key, values in ratios.items()})


if __name__ == "__main__":
    main()
