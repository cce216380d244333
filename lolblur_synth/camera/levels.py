"""The parameters of a camera's noise at one ISO, and the lamps for which it has a white balance."""

import numpy as np

from lolblur_synth.camera.tables import Camera
from lolblur_synth.errors import RecipeError


def poisson_gaussian(camera: Camera, wanted: tuple[float, float], iso: float) -> dict:
    """{"shot", "read"} of R, G, B at an ISO: variance shot x + read of a raw value x in 0..1, interpolated between the
    rows of the camera's table in logarithms.

    wanted: the range from which `iso` was drawn. RecipeError: no such table, or it does not cover that range.
    """
    rows = camera.poisson_gaussian
    if not rows:
        raise RecipeError(f"noise.camera: {camera.name} has no poisson_gaussian table", "use noise.model=raw-eld")
    _check(camera, wanted, rows[0][0], rows[-1][0])
    table = np.log([[row[0], *row[1], *np.maximum(row[2], 1e-20)] for row in rows])
    a_b = [float(np.exp(np.interp(np.log(iso), table[:, 0], column))) for column in table.T[1:]]
    return {"shot": tuple(a_b[:3]), "read": tuple(a_b[3:])}


def physical(camera: Camera, wanted: tuple[float, float], iso: float, rng: np.random.Generator) -> dict:
    """{"electron", "read_noise", "row_noise", "tail"} at an ISO, see noise.Draw; K code values an electron, deviations
    drawn from ln sigma = slope ln K + bias +- sd. RecipeError: as of `poisson_gaussian`."""
    lines = camera.physical.get("lines")
    if not lines:
        raise RecipeError(f"noise.camera: {camera.name} has no physical model", "use noise.model=raw-pg")
    _check(camera, wanted, lines[0]["iso"][0], lines[-1]["iso"][1])
    line = next(line for line in lines if iso <= line["iso"][1])
    electron = camera.physical["electron"] * iso
    read, row = (
        float(np.exp(slope * np.log(electron) + bias + deviation * rng.standard_normal()))
        for slope, bias, deviation in (line["read"], line["row"])
    )
    return {"electron": electron, "read_noise": read, "row_noise": row, "tail": float(rng.choice(line["tail"]))}


def lamps(camera: Camera, wanted: tuple[str, ...]) -> list[str]:
    """The wanted lamps for which the camera has a white balance. RecipeError: none."""
    lamps = [lamp for lamp in wanted if lamp in camera.white_balance]
    if not lamps:
        asked = wanted[0] if len(wanted) == 1 else "night"
        raise RecipeError(
            f"noise.white_balance: {camera.name} has no {asked} lamp", f"it has {', '.join(camera.white_balance)}"
        )
    return lamps


def _check(camera: Camera, wanted: tuple[float, float], low: float, high: float) -> None:
    if wanted[0] < low or wanted[1] > high:
        raise RecipeError(
            f"noise.iso: {wanted[0]:g}:{wanted[1]:g} is outside the table of {camera.name}",
            f"stay within {low:g}:{high:g}",
        )
