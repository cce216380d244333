"""What a worker process of `shoot` runs. parallel/pool.py calls it by name."""

from collections.abc import Iterator

import cv2

from lolblur_synth.dataset import layout
from lolblur_synth.errors import ForeignOutput, InputError
from lolblur_synth.tools.shoot import clip, pictures
from lolblur_synth.tools.shoot.run import Job, Shot

cv2.setNumThreads(1)  # the order of sums must not depend on the machine


def shoot(job: Job, shots: tuple[Shot, ...]) -> Iterator[tuple]:
    """("done", shot, facts) or ("failed", shot, why) for each clip; the picture is read once."""
    picture: pictures.Picture | None = None
    for shot in shots:
        yield "begin", shot
        try:
            picture = picture or pictures.read(job.picture, job.config)
            record = clip.write(shot.target, picture, shot.number, job.config, job.seed)
        except InputError as error:
            yield "failed", shot, {"picture": job.picture.name, "reason": error.reason, "message": str(error),
                                   "hint": error.hint}  # fmt: skip
            if picture is None:  # nor is there any of its other clips
                return
            continue
        except OSError as error:
            layout.raise_no_space(error, shot.target)
            hint = "check its permissions, or name another folder"
            raise ForeignOutput(f"{shot.target}: {error.strerror}", hint) from None
        yield "done", shot, _summary(job, shot, picture, record)


def _summary(job: Job, shot: Shot, picture: pictures.Picture, record: dict) -> dict:
    """What a user is told of a clip."""
    notes = list(picture.notes)
    if (density := record["camera"]["pixels"]) < 1:
        notes.append(f"enlarged by {1 / density:.2g} along this path: the picture has too few pixels for "
                     f"{job.config.width}x{job.config.height}")  # fmt: skip
    return {
        "picture": str(job.picture), "clip": str(shot.target), "frames": job.config.frames,
        "speed": round(record["camera"]["speed"], 2), "projection": record["source"]["projection"],
        "lamps": record["lamps"]["count"], "peak": round(record["light"]["peak"], 2), "notes": notes,
    }  # fmt: skip
