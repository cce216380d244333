"""What a user asks of `lolblur-synth stage`, the results, and which requests are refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lolblur_synth.errors import LolblurError, UsageError
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.tools import outputs

LINEAR_OUT = ("clip_reverse", "average")
DISPLAY_IN = ("resize", "denoise", "darken", "interpolate", "clip_reverse", "noise")
CARRY_LIGHT = ("clip_reverse", "average", "defocus")  # take light above white, where footage holds it; others clip it
FRAME_BY_FRAME = ("resize", "clip_reverse", "defocus", "noise")  # the others take frames of one size together
NEED_NEIGHBOURS = ("interpolate", "average")  # they take several frames of one clip
PIPELINE_ONLY = {"darken": ("dim", "drawn", "share")}  # fields of a draw that `stage` does not apply


@dataclass(frozen=True)
class Request:
    """What to do. limit: read at most this many frames. device: cpu or cuda[:N], where the stage runs.

    default_target: the user named no output; `target` may be written again as far as its files are ours.
    each: a folder holds photographs, not one clip. jobs: worker processes for photographs; None: as many as fit.
    samples: average: frames of the input a source frame; None: as the files tell.
    curves: folder for darken's luminance adjustment maps, 16-bit PNG.
    raws: folder for noise's synthetic raw, clean/NAME.dng and noisy/NAME.dng. progress: show it on stderr.
    listener: gets each photograph of a folder as it is done, its result or its error.
    keep_mask: average writes the mean of clip_reverse's mask as well, to target/mask, so that r can be drawn again:
    mean light + (r / 255, or the gain of hdr) * mean mask.
    """

    name: str
    source: Path
    target: Path
    recipe: Recipe
    bits: int = 8
    limit: int | None = None
    overwrite: bool = False
    default_target: bool = False
    each: bool = False
    jobs: int | None = None
    samples: int | None = None
    curves: Path | None = None
    raws: Path | None = None
    keep_mask: bool = False
    progress: bool = False
    listener: "Callable[[Result | LolblurError], None] | None" = None
    device: str = "cpu"

    @property
    def kind(self) -> str:
        """The stage whose rules for input and output hold: of a stage of the user, one with frames of its domain."""
        stage = user_stages.named(self.recipe, self.name)
        if stage is None:
            return self.name
        return "defocus" if user_stages.domain(stage) == user_stages.LINEAR else "resize"


@dataclass(frozen=True)
class Result:
    """One clip or photograph: how many frames were written, and what was drawn and applied."""

    input: Path
    output: Path
    frames: int
    draw: dict


@dataclass(frozen=True)
class Report:
    """results: one, or one a photograph. replaced: files of an earlier run in a default output. failed: photographs."""

    results: list[Result]
    replaced: int = 0
    failed: list[LolblurError] = field(default_factory=list)


def check(request: Request) -> None:
    name, recipe = request.name, request.recipe
    if recipe.interpolate.factor == "adaptive" and name == "interpolate":
        raise UsageError("--factor adaptive gives each frame pair another rate, which frames alone cannot tell",
                         "give a number; adaptive is for build")  # fmt: skip
    if request.curves is not None:
        if name != "darken":
            raise UsageError(f"--save-curves: {name} has no luminance adjustment maps", "only darken has them")
        if recipe.darken.method == "gamma":
            raise UsageError("--save-curves: --method gamma has no luminance adjustment maps", "use --method network")
        outputs.folder(request.curves, "--save-curves")
    if request.raws is not None:
        outputs.folder(request.raws, "--save-raw")
    if request.keep_mask and (name != "average" or request.target.suffix):
        raise UsageError("--keep-mask writes to a folder, with `stage average` alone", "name a folder as OUTPUT")
    if request.keep_mask and recipe.clip_reverse.space == "code":
        raise UsageError("--keep-mask: in clip_reverse.space=code r goes through the gamma and cannot be drawn again",
                         "choose a recipe with space linear or hdr")  # fmt: skip
    if request.each and name in NEED_NEIGHBOURS:
        raise UsageError(f"--each: {name} looks at neighbouring frames, which photographs do not have",
                         "leave --each out, and give the frames of one clip")  # fmt: skip
    if request.each and not request.source.is_dir():
        raise UsageError("--each is for a folder of photographs", "leave it out, or name a folder as INPUT")
    if request.target.resolve() == request.source.resolve():
        raise UsageError(f"{request.target} is the input", "give another output")
