"""What a user should know about a video that is used, and when its ground truth is too dark for one."""

from lolblur_synth import draw
from lolblur_synth.dataset.records import Clip, Pair, VideoInfo
from lolblur_synth.errors import InputError, counted
from lolblur_synth.files.video import MEASURED, cuts_in_words, repeats_in_words
from lolblur_synth.recipe.schema import ClipReverseConfig, Recipe
from lolblur_synth.stages import darken, resize

NEEDED_FPS = 120  # frames/s; below, blur from neighbouring frames shows steps even after interpolation
REAL_EXPOSURE = (15.0, 50.0)  # ms; of a video by night at 25 or 30 fps; the paper has 28 to 36
TOLERATED_SHARE = 0.2  # of the exposures that may be drawn; more of them out of reach is worth a warning


def about(video: VideoInfo, recipe: Recipe, pairs: int) -> list[str]:
    """What a user should know about a video that is used all the same."""
    warnings = [f"{video.name}: {note}" for note in video.notes]
    width, height = recipe.resize.width, recipe.resize.height
    if resize.enlarges((video.width, video.height), recipe.resize):
        warnings.append(
            f"{video.name}: {video.width}x{video.height} is enlarged to {width}x{height}; "
            f"use --size to stay at or below the source"
        )
    if video.repeats > 1:
        warnings.append(
            f"{video.name}: {repeats_in_words(video.repeats)}, so motion will stutter; "
            f"the true rate is about {video.fps / video.repeats:g} fps"
        )
    if video.cuts:
        warnings.append(f"{video.name}: {cuts_in_words(video.cuts)}; exposures are moved so that none crosses one")
    if video.fps < NEEDED_FPS:
        warnings.append(
            f"{video.name}: {video.fps:g} fps; blur synthesis expects about 250 fps "
            f"(for a slow-motion file give its capture rate: --fps 250)"
        )
    shortest, longest = exposure_ms(video, recipe)
    if video.fps >= NEEDED_FPS and not (shortest <= REAL_EXPOSURE[1] and longest >= REAL_EXPOSURE[0]):
        warnings.append(
            f"{video.name}: at {video.fps:g} fps an exposure lasts {shortest:.0f} to {longest:.0f} ms, unlike a "
            f"video by night ({REAL_EXPOSURE[0]:.0f} to {REAL_EXPOSURE[1]:.0f} ms): blur comes out "
            + ("shorter" if longest < REAL_EXPOSURE[0] else "longer")
        )
    if pairs < recipe.dataset.pairs:
        warnings.append(f"{video.name}: {pairs} of {recipe.dataset.pairs} pairs fit into {video.frames} frames")
    return warnings


def about_light(clips: list[Clip], recipe: Recipe) -> list[str]:
    """That clip_reverse, or leaving it out, changes nothing in clips whose light above white is measured.

    Nothing is said where clip_reverse is as usual, or without the average, in which alone it can be seen.
    """
    measured = sum(clip.video.light == MEASURED for clip in clips)
    asked = "clip_reverse" in recipe.skip or recipe.clip_reverse != ClipReverseConfig()
    if not measured or not asked or "average" in recipe.skip:
        return []
    some = f"{measured} of {counted(len(clips), 'clip')}" if measured < len(clips) else "every clip"
    why = "whose light above white is measured (HDR, or shot from pictures)"
    return [f"neither clip_reverse nor leaving it out makes a difference to {some}, {why}"]


def exposure_ms(video: VideoInfo, recipe: Recipe) -> tuple[float, float]:
    """How long the shortest and the longest exposure of the recipe last, ms: window / capture rate."""
    windows = recipe.average.window
    return 1000 * min(windows) / video.fps, 1000 * max(windows) / video.fps


def check_lightness(video: VideoInfo, pairs: list[Pair], recipe: Recipe) -> list[str]:
    """A warning where many of the exposures that may be drawn are too bright for a video.

    Raises InputError "too-dark" where its ground truth is too dark to be one.
    """
    if "darken" in recipe.skip:
        return []
    clip, truth, unmet = Clip("", "", video, tuple(pairs)), 0.0, 0.0  # means over the pairs
    for segment in {pair.segment: 0 for pair in pairs}:
        share = sum(pair.segment == segment for pair in pairs) / len(pairs)
        drawn = darken.draw(recipe.darken, draw.rng(recipe.dataset.seed, video.sha256, f"segment-{segment}", "darken"))
        truth += 100 * share * darken.dimmed(clip.moments(segment), drawn.dim)
        unmet += share * darken.unmet(clip.moments(segment), recipe.darken)
    if truth < recipe.dataset.min_lightness:
        raise InputError(
            f"{video.name}: too dark for a ground truth: mean L* {truth:.1f} of its unsaturated pixels, once dimmed; "
            f"at least {recipe.dataset.min_lightness:g} is needed",
            "use a brighter clip, or keep this one with --set dataset.min_lightness=0",
            "too-dark",
        )
    if unmet <= TOLERATED_SHARE:
        return []
    most = recipe.darken.max_share
    fate = f"above {most:g} of that and are lowered to it" if most < 1 else "above that and leave it as it is"
    return [
        f"{video.name}: its ground truth has a mean L* of {truth:.0f} (unsaturated pixels); {100 * unmet:.0f} % of the "
        f"exposures that may be drawn are {fate}; a lower --exposure avoids that"
    ]
