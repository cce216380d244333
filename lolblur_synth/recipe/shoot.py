"""The numbers of `lolblur-synth shoot`: each value with its unit, its range and its source. Standard library only."""

from dataclasses import dataclass

from lolblur_synth.recipe.schema import option

SHAKE = "GoPro gyro: 4 to 6 standing at ease, 8 walking; 1 held with care"


@dataclass(frozen=True)
class ShootConfig:
    """How a still picture is seen by a camera in a hand. A LO:HI value is drawn once a clip."""

    width: int = option(1120, "width of the frames", unit="px", lo=16, hi=16384, source="as build makes them")
    height: int = option(640, "height of the frames", unit="px", lo=16, hi=16384, source="as build makes them")
    frames: int = option(80, "length of a clip; build makes 6 pairs of 80 frames", unit="frames", lo=1, hi=100_000)
    fps: float = option(250.0, "capture rate of the clip", unit="frames/s", lo=1, hi=10_000, source="section 3.2")
    clips: int = option(1, "clips from each picture, each with a path of its own", lo=1, hi=1000)
    projection: str = option(
        "auto",
        "what a picture is: flat, or a panorama of all directions (equirectangular, 2:1); auto: an HDR picture of 2:1 "
        "and a photograph whose XMP data say so are panoramas",
        choices=("auto", "flat", "panorama"),
    )
    field_of_view: float = option(70.0, "horizontal angle of view of the camera", unit="deg", lo=5, hi=120)
    exposure_time: tuple[float, float] = option(
        (1 / 30, 0.5),
        "exposure time whose shake fills one exposure window of 9 frames: the shake runs so many times faster; drawn "
        "log-uniform",
        unit="s",
        lo=0.001,
        hi=10,
        flag="range",
        source="true shake is under half a pixel a frame at 250 fps",
    )
    shake: tuple[float, float] = option(
        (1.0, 8.0),
        "hand shake: rms rate of yaw and pitch, roll 0.7 of it; drawn log-uniform",
        unit="deg/s",
        lo=0,
        hi=100,
        flag="range",
        source=SHAKE,
    )
    pan_share: float = option(0.5, "share of the clips with a pan", lo=0, hi=1)
    pan: tuple[float, float] = option((10.0, 60.0), "rate of a pan", unit="deg/s", lo=0, hi=1000, flag="range")
    walk_share: float = option(0.3, "share of the clips shot walking, 1.3 m/s, steps of 1.9 Hz", lo=0, hi=1)
    distance: tuple[float, float] = option(
        (4.0, 30.0), "walking: distance of the scene, log-uniform", unit="m", lo=1, hi=1e6, flag="range"
    )
    zoom_share: float = option(0.3, "share of the clips with a zoom", lo=0, hi=1)
    zoom: tuple[float, float] = option(
        (-0.3, 0.3), "rate of a zoom: change of ln(focal length)", unit="1/s", lo=-5, hi=5, flag="range"
    )
    speed: float | str = option(
        "drawn",
        "mean motion of the middle of the frame: the pan, and where the shake alone is faster the shake, is set to it",
        unit="px a frame",
        lo=0,
        hi=200,
        choices=("drawn",),
    )
    rolling_shutter: tuple[float, float] = option(
        (0.0, 0.0),
        "time from the first to the last row; 2:4 is what sensors of 250 fps need; 0: all rows at once",
        unit="ms",
        lo=0,
        hi=1000,
        flag="range",
        source="read-out of stacked sensors",
    )
    lightness: tuple[float, float] = option(
        (0.31, 0.31),
        "HDR pictures: mean L*/100 of the clipped frame in the middle of the clip, to which the picture is exposed; "
        "0.5 for scenes of the day",
        lo=0.01,
        hi=0.95,
        flag="range",
        source="mean of 16 night photographs",
    )
    lamps: str = option(
        "auto",
        "photographs: clipped lights get a radiance each; auto: in those darker than lamp_lightness",
        choices=("auto", "always", "never"),
    )
    lamp_lightness: float = option(
        0.4,
        "lamps auto: mean L*/100 from which on a photograph is of the day, its clipped parts no lamps",
        lo=0,
        hi=1,
    )
    lamp_area: float = option(
        0.015,
        "a larger clipped region is a sky, a wall or a window, and stays white",
        unit="share of the picture",
        lo=0,
        hi=1,
        source="as darken.lamp_area of recipe night",
    )
    lamp_surround: float = option(
        0.5,
        "a clipped region with brighter pixels round it is paper, foam or a wall in the light, and stays white",
        unit="linear light of the brightest channel",
        lo=0,
        hi=1,
        source="keeps 70 to 100 % of the clipped pixels of night photographs with lamps",
    )
    lamp_excess: float = option(
        1.5, "median of a lamp's mean light above white, log-normal", unit="times white", lo=0.05, hi=49,
        source="24 HDR pictures of the night",
    )  # fmt: skip
    lamp_spread: float = option(1.7, "standard deviation of its logarithm", lo=0, hi=5, source="the same pictures")
