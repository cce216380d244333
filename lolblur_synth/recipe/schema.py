"""The recipe: every number of the paper stands here once, with its unit, its range and its source.

One class a stage, all in one file: whoever compares the paper with the package reads it from top to bottom. Standard
library only, so that `--help` and shell completion start without torch. `values` checks, `recipes` reads and writes.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lolblur_synth.recipe.stage_record import UserStage

ADDED = {"darken.method"}  # options of later versions: at their defaults no hash of a recipe has them
FORMER_VALUES = {"gg": "generalized-gaussian"}  # choices of options by the names that they had before: still accepted
STAGE_NAMES = ("resize", "denoise", "darken", "interpolate", "clip_reverse", "average", "defocus", "noise")


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    lo: float = -math.inf,
    hi: float = math.inf,
    choices: Sequence[str] = (),
    source: str = "",
    flag: str = "",
) -> Any:
    """A field of a config: its default, meaning, unit, inclusive range lo..hi or choices, and the default's source.

    flag: "range" for a default (LO, HI) from which a value is drawn, "list" for a tuple of values. Beside a numeric
    range, `choices` are words that may stand in place of a number, such as "auto"; the metadata calls them `words`.
    """
    metadata = {"help": help, "unit": unit, "lo": lo, "hi": hi, "source": source, "flag": flag}
    is_number = lo > -math.inf
    metadata |= {"choices": () if is_number else tuple(choices), "words": tuple(choices) if is_number else ()}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class InputConfig:
    fps: float = option(
        0.0,
        "true capture rate of slow-motion files and image sequences; 0: as the container says",
        unit="frames/s",
        lo=0,
        hi=1_000_000,
    )
    max_pixels: int = option(64_000_000, "largest frame that is opened", unit="pixels", lo=1, source="DESIGN.md")
    max_frames: int = option(1_000_000, "longest video that is read", unit="frames", lo=1, source="DESIGN.md")
    max_jitter: float = option(
        0.02,
        "largest deviation of a frame's time stamp from a constant rate; where the capture rate is given, half an "
        "interval is allowed",
        unit="frame intervals",
        lo=0,
        hi=0.5,
        source="containers round time stamps to 1 ms or finer",
    )


@dataclass(frozen=True)
class DatasetConfig:
    seed: int = option(0, "seed of every draw", lo=0)
    pairs: int = option(60, "most pairs made from one video", lo=1, hi=60, source="section 3: 60 frames a video")
    segment_pairs: int = option(
        30,
        "most pairs of a segment; the darkness is drawn once a segment",
        lo=1,
        hi=30,
        source="LOL-Blur README: the first and the last 30 frames",
    )
    rate: float = option(
        24.0,
        "frame rate of the blurred video: pairs stand 1/rate apart, never closer than one window",
        unit="frames/s",
        lo=0.1,
        hi=1000,
        source="section 3.2: around 24 fps",
    )
    test_fraction: float = option(
        0.15,
        "share of the videos that goes to test; of two or more at least one, unless 0",
        lo=0,
        hi=1,
        source="section 5: 170 train and 30 test videos",
    )
    min_lightness: float = option(
        8.0,
        "a video whose ground truth has a lower mean over its unsaturated pixels is left out as too dark for one; 0: "
        "every video is taken",
        unit="L*",
        lo=0,
        hi=100,
        source="not in the paper; DESIGN.md",
    )
    png_level: int = option(3, "PNG compression level", lo=0, hi=9)


@dataclass(frozen=True)
class ResizeConfig:
    width: int = option(1120, "width of the output frames", unit="px", lo=16, hi=16384, source="section 3.2")
    height: int = option(640, "height of the output frames", unit="px", lo=16, hi=16384, source="section 3.2")


@dataclass(frozen=True)
class DenoiseConfig:
    sigma: float | str = option(
        "auto",
        "standard deviation of the noise to remove",
        unit="8-bit code values",
        lo=0,
        hi=100,
        choices=("auto",),
        source="not stated; V-BM4D (section 3.2)",
    )
    profile: str = option(
        "fast",
        "fast: no grouping of similar volumes; vbm4d: the paper's Table I, for comparison: slow, and on the CPU",
        choices=("fast", "vbm4d"),
    )


@dataclass(frozen=True)
class DarkenConfig:
    method: str = option(
        "network",
        "network: EC-Zero-DCE, one factor for the channels of a pixel, lamps keep their exposure; gamma: each channel "
        "to one power, solved for the same exposure, white stays white: the darkening that the paper warns of",
        choices=("network", "gamma"),
        source="section 3.1: EC-Zero-DCE",
    )
    exposure: tuple[float, float] = option(
        (0.04, 0.16),
        "requested exposure: mean CIE L*/100 of the unsaturated pixels (L* <= 98) of the darkened frame; one draw a "
        "segment",
        lo=0.001,
        hi=0.999,
        flag="range",
        source="fits the published frames, whose mean level is 13 to 39; the released script asks U(0.05, 0.30) of a "
        "network that undershoots",
    )
    share: tuple[float, float] = option(
        (0.0, 0.0),
        "build: a segment is asked for this share of the exposure of its ground truth, log-uniform, held within "
        "`exposure`, so that a darker scene has a darker input, as with a camera; 0, 0: `exposure` is drawn uniformly",
        lo=0,
        hi=1,
        flag="range",
        source="not in the paper; docs/notes/lednet.md",
    )
    max_share: float = option(
        0.6,
        "build: a segment is asked for at most this share of the exposure of its ground truth, so that the input is "
        "darker than it; 1 or more: no cap",
        lo=0.01,
        hi=10,
        source="not in the paper; DESIGN.md",
    )
    dim: tuple[float, float] = option(
        (0.6, 0.9),
        "high_sharp_scaled: shadows of the ground truth are scaled by this in lightness, white stays white",
        lo=0.05,
        hi=1,
        flag="range",
        source="LOL-Blur README: brightness slightly reduced; the amount is not published",
    )
    lamp_area: float = option(
        1.0,
        "1: every saturated pixel keeps its exposure. Below: a bright region with more saturated pixels than this is a "
        "clipped sky or wall, no lamp, and darkens with the rest",
        unit="share of the frame",
        lo=1e-6,
        hi=1,
        source="section 3.2: saturated regions keep their exposure",
    )
    saturated: str = option(
        "lightness",
        "what makes a lamp, which keeps its exposure. lightness: CIE L* > 98; channel: also one clipped channel, so "
        "that red, green and blue lamps stay lit",
        choices=("lightness", "channel"),
        source="section 3.2: L > 98",
    )
    weights: str = option("darken-slim", "bundled weights, or a file")


@dataclass(frozen=True)
class InterpolateConfig:
    method: str = option(
        "dis",
        "dis: optical flow once a frame pair, splatted to each instant; net: the same, corrected by a network; "
        "sepconv: the paper's network, halving intervals, with weights of your own; blend: cross-fade",
        choices=("dis", "net", "sepconv", "blend"),
        source="section 3.2: a frame interpolation network [SepConv]; see DESIGN.md",
    )
    factor: int | str = option(
        8,
        "samples a source-frame interval; adaptive: 8, and more where motion exceeds 1 px a sample",
        lo=1,
        hi=256,
        choices=("adaptive",),
        source="section 3.2: 250 to 2000 fps",
    )
    path: str = option(
        "curved",
        "curved: with the acceleration that the frames before and after the two tell of; straight: without",
        choices=("curved", "straight"),
        source="Xu 2019, Quadratic video interpolation; docs/notes/motion.md",
    )
    most: int = option(64, "adaptive: most samples a source-frame interval", lo=8, hi=256, source="DESIGN.md")
    preset: str = option(
        "medium",
        "speed of the motion against its accuracy; fine: medium down to the full resolution, 3 times the cost; net "
        "always starts from fine",
        choices=("ultrafast", "fast", "medium", "fine"),
    )
    weights: str = option(
        "",
        "net: file with weights of your own, empty: the bundled ones; sepconv: file with the published weights, which "
        "are for academic use only",
    )
    cut: float = option(
        0.15,
        "scene cut: decorrelation of neighbouring frames above this, and a few times that of the frames beside them",
        lo=0,
        hi=1,
        source="DESIGN.md",
    )


@dataclass(frozen=True)
class ClipReverseConfig:
    threshold: float = option(
        98.0,
        "pixels with CIE L* above this are saturated",
        unit="L*",
        lo=50,
        hi=100,
        source="section 3.2, Eq. 2: L > 98",
    )
    r: tuple[float, float] = option(
        (20.0, 100.0),
        "what a saturated pixel gains; one draw a segment",
        unit="8-bit code values",
        lo=0,
        hi=255,
        flag="range",
        source="section 3.2, Eq. 2: U(20, 100)",
    )
    space: str = option(
        "linear",
        "linear: r/255 added in linear light; code: r added to code values before linearising; "
        "hdr: gain on each clipped channel",
        choices=("linear", "code", "hdr"),
        source="Eq. 2 as printed: linear",
    )
    gain: tuple[float, float] = option(
        (0.2, 8.0),
        "hdr: light above white that a clipped channel gains, log-uniform",
        unit="multiples of white",
        lo=0.001,
        hi=1000,
        flag="range",
        source="docs: closest to true HDR streaks",
    )
    ramp: tuple[float, float] = option(
        (247.0, 252.0),
        "hdr: where a channel begins to count as clipped, and where it fully does",
        unit="8-bit code values",
        lo=0,
        hi=255,
        flag="range",
        source="decoded video dithers around 250 to 254",
    )


@dataclass(frozen=True)
class AverageConfig:
    window: tuple[int, ...] = option(
        (7, 9),
        "source-frame intervals in an exposure; one of them is drawn a segment",
        unit="source frames",
        lo=1,
        hi=99,
        flag="list",
        source="section 3.2: 56 (7x8) or 72 (9x8) frames",
    )


@dataclass(frozen=True)
class DefocusConfig:
    probability: float = option(
        0.5,
        "share of segments that are defocused",
        lo=0,
        hi=1,
        source="section 3.2: in a random fashion; the probability is not stated",
    )
    kernel: str = option(
        "generalized-gaussian",
        "generalized-gaussian; disk, polygon: apertures; real-esrgan: its first degradation, which has its own sigmas, "
        "betas and sizes",
        choices=("generalized-gaussian", "disk", "polygon", "real-esrgan"),
        source="section 3.2: generalized Gaussian filters",
    )
    radius: tuple[float, float] = option(
        (0.3, 2.5),
        "standard deviation of the kernel along an axis; a disk of radius R has R/2",
        unit="px",
        lo=0,
        hi=20,
        flag="range",
        source="not stated; Real-ESRGAN draws sigma U(0.2, 3)",
    )
    anisotropic: float = option(
        0.2,
        "share of kernels with two different axes",
        lo=0,
        hi=1,
        source="Real-ESRGAN: generalized_iso to generalized_aniso 4:1",
    )
    beta: tuple[float, float] = option(
        (0.5, 4.0),
        "shape: below 1 heavy tails, 1 Gaussian, above 1 flat top; half of the draws fall below 1",
        lo=0.2,
        hi=16,
        flag="range",
        source="Real-ESRGAN: betag_range 0.5..4",
    )
    space: str = option(
        "linear",
        "linear: radiance, before clipping; srgb: clipped display values, as Real-ESRGAN does",
        choices=("linear", "srgb"),
        source="Fig. 3 leaves it open; docs: optics act on radiance",
    )


@dataclass(frozen=True)
class NoiseConfig:
    model: str = option(
        "cycleisp",
        "raw-pg: Poisson-Gaussian noise on a synthetic RGGB raw; raw-eld: photons, read and row noise, whole "
        "code values; cycleisp: raw-pg through its networks; profile: raw-pg of the JSON file that noise.camera names; "
        "gaussian, poisson: on display values",
        choices=("raw-pg", "raw-eld", "cycleisp", "profile", "gaussian", "poisson", "none"),
        source="section 3.2: CycleISP (sRGB, RAW, noise, sRGB)",
    )
    probability: float = option(
        0.5,
        "share of segments that are noisy",
        lo=0,
        hi=1,
        source="section 3.2: in a random fashion; the probability is not stated",
    )
    iso: tuple[float, float] = option(
        (100.0, 400.0),
        "sensor gain, log-uniform, one draw a segment",
        unit="ISO",
        lo=50,
        hi=25600,
        flag="range",
        source="fits the published frames: 0.5..1.6 code values of grain at a level of 30; at 1600 it is over 2, and "
        "blue grain leaves their band",
    )
    camera: str = option(
        "auto",
        "noise and colour constants: a bundled camera or a JSON file; auto: sony-a7s2 for raw-eld, else sony-rx10m4",
        source="section 3.2: the paper's camera is the RX10 IV",
    )
    white_balance: str = option(
        "night",
        "the lamp that the camera balances, which sets the noise of each colour; night: one is drawn a segment",
        choices=("night", "daylight", "tungsten", "2500K", "3200K", "warm-fluorescent", "cool-fluorescent"),
    )
    demosaic: str = option(
        "malvar",
        "raw-pg, raw-eld, profile: how the noise is developed; bilinear is blotchier",
        choices=("malvar", "bilinear"),
        source="the published frames have the grain of a gradient-corrected filter",
    )
    keep_saturated: str = option(
        "yes",
        "saturated pixels stay as they are, without noise, in every model",
        choices=("yes", "no"),
        source="RSBlur, ECCV 2022",
    )
    sigma: tuple[float, float] = option(
        (0.0, 8.0),
        "gaussian: standard deviation",
        unit="8-bit code values",
        lo=0,
        hi=100,
        flag="range",
        source="LEDNet's noise in training",
    )
    scale: tuple[float, float] = option(
        (0.1, 1.2),
        "poisson: multiple of the noise of 255 photons at white",
        lo=0,
        hi=10,
        flag="range",
        source="LEDNet's noise in training",
    )
    weights: str = option(
        "cycleisp-lite",
        "cycleisp: bundled weights, or a folder of its three networks, rgb2raw_joint, ccm_joint and raw2rgb_joint "
        "(.safetensors or .pth)",
    )
    gray: float = option(
        0.3,
        "gaussian, poisson: share of segments with the same noise on all channels",
        lo=0,
        hi=1,
        source="LEDNet's noise in training",
    )


@dataclass(frozen=True)
class Recipe:
    """All sections, in the order of the paper, the stages to leave out, and those of the user (`user_stages.py`)."""

    name: str = "lolblur"
    skip: tuple[str, ...] = ()
    stages: tuple[UserStage, ...] = ()
    input: InputConfig = InputConfig()
    dataset: DatasetConfig = DatasetConfig()
    resize: ResizeConfig = ResizeConfig()
    denoise: DenoiseConfig = DenoiseConfig()
    darken: DarkenConfig = DarkenConfig()
    interpolate: InterpolateConfig = InterpolateConfig()
    clip_reverse: ClipReverseConfig = ClipReverseConfig()
    average: AverageConfig = AverageConfig()
    defocus: DefocusConfig = DefocusConfig()
    noise: NoiseConfig = NoiseConfig()


SECTIONS = tuple(f.name for f in dataclasses.fields(Recipe) if dataclasses.is_dataclass(f.default))
