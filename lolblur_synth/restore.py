"""Run LEDNet on images and videos: dark blurred frames in, restored frames out, of any size.

INPUT              OUTPUT
an image           an image, or a folder
a folder of images a folder with the same names, as PNG
a video            a video (its sound is kept) where OUTPUT has a video suffix, else a folder of PNG frames

One frame is in memory at a time; a whole 1280x720 frame needs about 1.1 GB on a CPU.
"""

import heapq
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lolblur_synth import images, video
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.models import lednet
from lolblur_synth.recipe import InputConfig
from lolblur_synth.training import processes
from lolblur_synth.training.config import RestoreConfig, checked

BUNDLED = "lednet-small"
log = logging.getLogger(__name__)
Restore = Callable[[np.ndarray], np.ndarray]


def restore(source: str | Path, target: str | Path, quiet: bool = False, overwrite: bool = False, **options) -> int:
    """Restore SOURCE into TARGET. options: the fields of RestoreConfig. Returns the number of frames written.

    Raises InputError for input that cannot be read, WeightsError, and UsageError where the output exists (unless
    `overwrite`) or cannot hold the input.
    """
    config = checked(RestoreConfig, options)
    if config.bits not in (8, 16):
        raise UsageError(f"--bits {config.bits}", "use 8 or 16")
    source, target = Path(source), Path(target)
    if not source.exists():
        raise InputError(f"{source}: no such file or folder", "give an image, a video or a folder of images", "missing")
    if target.resolve() == source.resolve():
        raise UsageError(f"{target} is the input", "give another output")
    net = _network(config)
    if source.is_dir() or source.suffix.lower() in video.IMAGE_SUFFIXES:
        return _images(source, target, net, config.bits, overwrite, quiet)
    return _video(source, target, net, config.bits, overwrite, quiet)


def export_onnx(target: str | Path, width: int, height: int, **options) -> None:
    """Write the network as ONNX for frames of one size: (1, 3, height, width), 0..1 in and out, any width and height.

    options: `weights` and `range` of RestoreConfig. The padding, the range and the clipping are inside, and the pooling
    grids are exact, so the answers are those of `restore`. Needs the packages onnx and onnxscript (UsageError).
    """
    config = checked(RestoreConfig, options)
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise UsageError("ONNX export needs the packages onnx and onnxscript", "pip install 'lolblur-synth[onnx]'")
    model = _Display(*_load(config)).eval()
    target = Path(target)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as folder:
        file = Path(folder) / target.name
        torch.onnx.export(model, (torch.zeros(1, 3, height, width),), file, dynamo=True, verbose=False,
                          external_data=False, input_names=["dark"], output_names=["restored"])
        os.replace(file, target)


class _Display(nn.Module):
    """`lednet.enhance` as a module."""

    def __init__(self, net: lednet.LEDNet, value_range: str):
        super().__init__()
        self.net, self.value_range = net, value_range

    def forward(self, dark: Tensor) -> Tensor:
        return lednet.enhance(self.net, dark, self.value_range)


def _load(config: RestoreConfig) -> tuple[lednet.LEDNet, str]:
    path = Path(config.weights)
    if config.weights == RestoreConfig.weights and not path.is_dir():
        log.warning("no %s/ here: using the bundled %s, a small network that few clips taught", path, BUNDLED)
        path = Path(BUNDLED)
    net, value_range = lednet.load(path / "lednet.safetensors" if path.is_dir() else path, config.range)
    log.info("%s: input and output in %s", path, value_range)
    return net, value_range


def _network(config: RestoreConfig) -> Restore:
    """(H, W, 3) float32 RGB display, 0..1 -> the same, restored."""
    device = processes.choose(config.device)
    net, value_range = _load(config)
    net.to(device)
    half = config.precision == "bfloat16" or config.precision == "auto" and device.type == "cuda"

    def run(pixels: np.ndarray) -> np.ndarray:
        frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].clamp(0, 1).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            restored = lednet.enhance(net, frame, value_range)[0].float().permute(1, 2, 0).cpu().numpy()
        return np.concatenate((pixels, restored), 1) if config.compare else restored

    return run


def _images(source: Path, target: Path, net: Restore, bits: int, overwrite: bool, quiet: bool) -> int:
    if source.is_file():
        is_file = target.suffix and not target.is_dir()
        jobs = [(source, target if is_file else target / f"{source.stem}.png")]
    else:
        files = sorted(file for file in source.rglob("*") if file.suffix.lower() in video.IMAGE_SUFFIXES)
        jobs = [(file, target / file.relative_to(source).with_suffix(".png")) for file in files]
    if not jobs:
        raise InputError(f"{source}: no images in this folder", "give a folder of PNG, JPEG or TIFF images", "empty")
    twins = len(jobs) - len({path for _, path in jobs})
    if twins:
        raise InputError(f"{source}: {twins} images differ in their suffix alone", "rename them", "names")
    for _, path in jobs:
        _check_target(path, (".png",), overwrite)
    for file, path in tqdm(jobs, unit="frame", disable=quiet):
        if images.load(file).dtype == np.float32:
            raise InputError(f"{file}: linear light (float TIFF)", "give display images, 8 or 16 bit", "linear")
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, net(images.read_image(file)), bits)
    return len(jobs)


def _video(source: Path, target: Path, net: Restore, bits: int, overwrite: bool, quiet: bool) -> int:
    found, refused = video.find([source])
    if not found:
        raise InputError(refused[0].message if refused else f"{source}: neither an image nor a video",
                         "give an image, a video or a folder of images", "format")
    clip = video.probe(found[0], InputConfig())
    for note in clip.notes:
        log.warning("%s: %s", clip.name, note)
    frames = (net(frame) for frame in tqdm(video.read(clip), total=clip.frames, unit="frame", disable=quiet))
    if target.suffix.lower() in video.VIDEO_SUFFIXES:
        _check_target(target, video.VIDEO_SUFFIXES, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_video(source, target, frames, clip.played)
        return clip.frames
    for index, frame in enumerate(frames):
        path = target / f"{index:06d}.png"
        _check_target(path, (".png",), overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, frame, bits)
    return clip.frames


def _check_target(path: Path, suffixes: tuple[str, ...], overwrite: bool) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: cannot write this kind of file here", f"use {', '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists", "use --overwrite, or another output")


def _write_video(source: Path, target: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    """The restored frames with the sound of the source, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=target.parent) as folder:
        silent, loud = (Path(folder) / f"{name}{target.suffix}" for name in ("silent", "loud"))
        video.write_video(silent, frames, fps)
        os.replace(_with_sound(source, silent, loud), target)


def _with_sound(source: Path, silent: Path, loud: Path) -> Path:
    """Copy both streams into `loud`, undecoded; `silent` again where there is no sound, or none that fits."""
    with av.open(str(source)) as given, av.open(str(silent)) as pictures:
        if not given.streams.audio:
            return silent
        sound = given.streams.audio[0]
        with av.open(str(loud), "w") as container:
            try:
                tracks = {s: container.add_stream_from_template(s) for s in (pictures.streams.video[0], sound)}
            except (ValueError, av.error.FFmpegError):
                log.warning("%s: its sound (%s) does not fit into %s; left out", source.name, sound.name, loud.suffix)
                return silent
            packets = heapq.merge(_packets(pictures, pictures.streams.video[0]), _packets(given, sound),
                                  key=lambda packet: packet.dts * packet.time_base)
            for packet in packets:
                packet.stream = tracks[packet.stream]
                container.mux(packet)
    return loud


def _packets(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator[av.Packet]:
    return (packet for packet in container.demux(stream) if packet.dts is not None)
