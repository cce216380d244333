"""The tool behind `lolblur-synth realism`: the noise of a folder of frames, beside a reference or the published bands.

Frames are display images. Every figure is of the flattest patches of each (fingerprint.py), the mean over frames.
"""

import dataclasses
from pathlib import Path

import numpy as np

from lolblur_synth.dataset import manifest
from lolblur_synth.errors import InputError
from lolblur_synth.files import images, listing
from lolblur_synth.files.video import DISPLAY_SUFFIXES
from lolblur_synth.metrics import fingerprint

MOST = 100  # frames looked at, spread evenly


def compare(folder: Path, reference: Path | None = None) -> dict:
    """Figures of both, what lies outside the published bands, and, with a reference, how far apart the noises are.

    divergence: Kullback-Leibler, nats, of the reference's noise histogram from the folder's; noise_level_distance: RMS
    of the difference of their noise-level functions, code values. Raises InputError where there is nothing to measure.
    """
    ours = measure(folder)
    report = {"folder": str(folder), "frames": ours["frames"], "figures": ours["figures"],
              "noise_level_function": ours["levels"].round(3).tolist(), "bands": fingerprint.BANDS,
              "outside": sorted(fingerprint.misses(fingerprint.Fingerprint(**ours["figures"])))}  # fmt: skip
    if reference is None:
        return report
    theirs = measure(reference)
    distance = fingerprint.level_function_distance(ours["levels"], theirs["levels"])
    return report | {
        "reference": str(reference),
        "reference_frames": theirs["frames"],
        "reference_figures": theirs["figures"],
        "reference_noise_level_function": theirs["levels"].round(3).tolist(),
        "divergence": round(fingerprint.divergence(ours["noise"], theirs["noise"]), 4),
        "noise_level_distance": None if distance is None else round(distance, 4),
    }


def measure(folder: Path) -> dict:
    """frames: how many; figures: mean Fingerprint, as a dict; noise: its values; levels: noise-level function."""
    found, patches = [], []
    for file in frames_of(folder):
        pixels = images.load(file)
        if pixels.dtype == np.float32:
            raise InputError(f"{file}: linear light (float TIFF)", "give display frames, PNG or JPEG", "linear")
        frame = images.to_rgb(pixels) * 255
        try:
            found.append(dataclasses.asdict(fingerprint.fingerprint(frame)))
        except ValueError:  # clipped everywhere, or too small
            continue
        patches.append(fingerprint.flat_patches(frame).astype(np.float32))
    if not found:
        raise InputError(f"{folder}: no frame has a flat patch without black or white pixels", "give others", "none")
    return {
        "frames": len(found),
        "figures": {name: round(float(np.mean([f[name] for f in found])), 4) for name in found[0]},
        "noise": np.concatenate([fingerprint.without_surface(p).ravel() for p in patches]),
        "levels": fingerprint.blind_level_function(np.concatenate(patches)),
    }


def frames_of(folder: Path) -> list[Path]:
    """At most MOST images at or below a folder; of a built dataset those that were made noisy. Raises InputError."""
    if not folder.is_dir():
        reason = "a file, not a folder" if folder.is_file() else "no such folder"
        raise InputError(f"{folder}: no noisy frames: {reason}", "give a folder of PNG or JPEG frames, or a dataset",
                         "missing")  # fmt: skip
    if (folder / "manifest.jsonl").is_file():
        noisy = [pair for pair in manifest.read(folder) if pair["draws"].get("noise", {}).get("applied")]
        files = [folder / pair["split"] / "low_blur_noise" / f"{pair['pair']}.png" for pair in noisy]
    else:
        files = listing.files(folder, DISPLAY_SUFFIXES, below=True)
    if not files:
        raise InputError(f"{folder}: no noisy frames", "give a folder of PNG or JPEG frames, or a dataset", "none")
    return files[:: -(-len(files) // MOST)]


def table(report: dict) -> str:
    """The report for people: a figure a line."""
    theirs, bands = report.get("reference_figures"), report["bands"]
    lines = [f"{'':16} {'frames':>9} {'reference' if theirs else '':>9}   published"]
    for name, value in report["figures"].items():
        band = "{:.2f} to {:.2f}".format(*bands[name]) if name in bands else ""
        verdict = "  outside" if name in report["outside"] else ""
        lines.append(f"{name:16} {value:9.3f} {f'{theirs[name]:.3f}' if theirs else '':>9}   {band}{verdict}".rstrip())
    lines.append(f"{report['frames']} frames of {report['folder']}")
    if theirs:
        lines[-1] += f", {report['reference_frames']} of {report['reference']}"
        distance = report["noise_level_distance"]
        level = "no level in common" if distance is None else f"{distance} code values"
        lines.append(f"noise histogram: divergence {report['divergence']} nats; noise-level functions: {level}")
    return "\n".join(lines)
