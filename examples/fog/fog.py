"""Fog, a stage of your own: light on its way to the lens is scattered, and the haze in between glows itself."""

from dataclasses import dataclass

from lolblur_synth import Stage, option


@dataclass(frozen=True)
class FogConfig:
    density: tuple[float, float] = option((0.1, 0.4), "share of the light that is lost", lo=0, hi=1, flag="range")
    glow: float = option(0.02, "light of the fog itself", unit="linear light, white is 1", lo=0, hi=1)


def draw(config, rng):
    return {"density": rng.uniform(*config.density)}


def apply(frames, config, draw):
    return frames * (1 - draw["density"]) + config.glow * draw["density"]


fog = Stage(after="defocus", config=FogConfig, draw=draw, apply=apply, summary="Lay fog over the light.")
