"""What `--json` prints, command by command: the lines by their `type`, and the fields of each. output_schemas.py
makes docs/schema/ of it; tests/test_json_output.py holds the program to it.

A field is its type and what it holds. `NAME?` may be missing; `TYPE|null` may be null; `[TYPE]` is a list; `object` is
an object of any content; a dict is an object with these fields, a list with one dict a list of such objects.
Every command may end with the line ERROR in place of its summary, and every summary has the exit code.
"""

from typing import Any

Fields = dict[str, Any]

ERROR: Fields = {
    "message": ("string", "what is wrong, and where"),
    "hint": ("string", "what to do; may be empty"),
    "exit": ("integer", "exit code of the program"),
}
EXIT: Fields = {"exit": ("integer", "exit code of the program: 0, or 3 where some inputs failed")}
NOTE: Fields = {"message": ("string", "what the user may want to know")}
REFUSED: Fields = {
    "name": ("string", "name of the input, or clip/frame of the pair"),
    "reason": ("string", "stable word, such as truncated"),
    "message": ("string", "one line for people"),
    "hint?": ("string", "what to do; may be empty"),
}
PLAN: Fields = {
    "recipe": ("string", "name of the recipe"),
    "recipe_sha256": ("string", "its hash, which names the dataset"),
    "off": ("[string]", "stages that are left out"),
    "clips": (
        [
            {
                "name": ("string", "name of the input"),
                "sequence": ("string", "its folder in the dataset"),
                "split": ("string", "train or test"),
                "fps": ("number", "capture rate, frames/s"),
                "frames": ("integer", "frames of the input"),
                "size": ("[integer]", "width and height, px"),
                "cuts": ("integer", "scene cuts"),
                "pairs": ("integer", "pairs that it gives"),
                "exposure_ms": ("[number]", "how long its shortest and its longest exposure last"),
                "light": ("string", "light above white: measured or guessed"),
            }
        ],
        "inputs that are used",
    ),
    "refused": ([REFUSED], "inputs that are not used"),
    "warnings": ("[string]", "what the user may want to know"),
    "pairs": ("integer", "pairs in all"),
    "left": ("integer", "pairs that are not built yet"),
    "bytes": ("integer|null", "disk that these need; null where none is left, or no pair could be made"),
    "bytes_range": ("[integer]|null", "the least and the most that is expected"),
    "free": ("integer", "bytes that are free"),
    "seconds": ("number|null", "time of the build, from the command to its end; null as `bytes`"),
    "seconds_range": ("[number]|null", "the least and the most that is expected"),
    "pair_seconds": ("number|null", "time of one pair in one worker"),
    "motion_px": ("number|null", "median motion of the pixels in an exposure"),
    "jobs": ("integer", "worker processes"),
}
STEP: Fields = {
    "step": ("integer", "optimiser steps done"),
    "steps?": ("integer", "steps in all, where that is known"),
    "losses": ("object", "name: value of this step; of LEDNet also lr, and val_psnr_rgb where it was validated"),
}
TRAINED: Fields = {
    "out": ("string", "weights, or their folder"),
    "seconds": ("number", "CPU time of the whole training"),
    "losses": ("object", "name: mean over the last steps"),
}
SHOT: Fields = {
    "picture": ("string", "the picture"),
    "clip": ("string", "the clip that was shot from it"),
    "frames": ("integer", "its frames"),
    "speed": ("number", "mean motion, px a frame"),
    "projection": ("string", "flat or panorama"),
    "lamps": ("integer", "lamps that were given a radiance"),
    "peak": ("number", "brightest light, multiples of white"),
    "notes": ("[string]", "what the user may want to know"),
}
PHOTOGRAPH: Fields = {
    "input": ("string", "the image"),
    "output": ("string", "what was written"),
    "frames": ("integer", "frames written"),
    "draw": ("object", "what was drawn and applied"),
}
STAGE: dict[str, Any] = {
    "photograph": PHOTOGRAPH,
    "failed": {"message": ERROR["message"], "hint": ERROR["hint"]},
    "summary": {
        "stage": ("string", "the stage"),
        "input": ("string", "INPUT"),
        "output": ("string", "OUTPUT"),
        "version": ("string", "of the program"),
        "frames": ("integer", "frames written"),
        "replaced": ("integer", "files of an earlier run that were replaced"),
        "seed": ("integer", "of the draws"),
        "settings": ("object", "the section of the recipe"),
        "draw?": ("object", "what was drawn and applied, for one image or clip"),
        "photographs?": ([PHOTOGRAPH], "for a folder of photographs"),
        "failed?": ("[string]", "photographs that failed"),
    },
}
SCORES: Fields = {
    "results": ("string", "RESULTS"),
    "name": ("string", "what was scored"),
    "data": ("string", "DATA"),
    "metrics": ("[string]", "names of the figures"),
    "better": ("object", "figure: higher or lower"),
    "mean_over": ("string", "which frames the means are over"),
    "mean": ("object", "figure: mean; null where no frame has it"),
    "frames": ("[object]", "the figures of each frame"),
    "split?": ("string", "part of the dataset"),
    "pair?": ("string", "folders of input and ground truth"),
    "aligned?": ("[string]", "names of the figures after the best gamma and gain"),
    "clips?": ("[object]", "means of each clip"),
    "identical?": ("object", "figure: frames that equal their ground truth"),
    "baselines?": ("object", "name: means of the input and of tone curves"),
    "comparison?": ("object", "on how many clips the results are worse than the input"),
    "frames_better?": ("object", "figure: on how many frames it is better than the lifted input's"),
}

COMMANDS: dict[str, dict[str, Any]] = {
    "build": {
        "survey": {
            "inputs": ("integer", "inputs that were found"),
            "todo": ("integer", "of them, those that are read now"),
        },
        "surveyed": {"name": ("string", "input that was read")},
        "plan": {
            "pairs": ("integer", "pairs in all"),
            "already": ("integer", "pairs that are there"),
            "todo": ("integer", "pairs to build"),
        },
        "pair": {
            "pair": ("string", "clip/frame"),
            "seconds": ("number", "time that it took"),
            "bytes": ("integer", "of its images"),
        },
        "failed": REFUSED,
        "refused": REFUSED,
        "note": NOTE,
        "summary": [
            {
                "out": ("string", "OUT"),
                "planned": ("integer", "pairs in all"),
                "built": ("integer", "pairs that this run built"),
                "already": ("integer", "pairs that were there"),
                "failed": ("integer", "inputs and pairs that failed"),
            },
            PLAN,  # with --dry-run
        ],
    },
    "plan": {"refused": REFUSED, "summary": PLAN},
    "status": {
        "summary": {
            "out": ("string", "OUT"),
            "planned": ("integer", "pairs in all"),
            "done": ("integer", "pairs that are built"),
            "failed": (
                [
                    {
                        "pair": ("string", "clip/frame"),
                        "reason": ("string|null", "stable word"),
                        "message": ("string|null", "one line for people"),
                        "hint": ("string|null", "what to do"),
                    }
                ],
                "pairs that could not be built",
            ),
            "refused": ([REFUSED], "inputs that are not used"),
            "left": ("integer", "pairs that are not built"),
            "train": ("integer", "train videos"),
            "test": ("integer", "test videos"),
            "measured": ("[string]", "inputs that hold light above white"),
            "bytes": ("integer", "of all images"),
        }
    },
    "verify": {
        "summary": {
            "out": ("string", "OUT"),
            "damages": (
                "[[string]]",
                "[word, path]: missing, corrupt, record, extra, stale, draws, recipe, differs or leak",
            ),
            "notes": ("[string]", "more about each of the damages; may be empty"),
            "rerun?": (
                {
                    "seed": ("integer", "of the choice of the pairs"),
                    "pairs": ("[string]", "clip/frame of each pair that was made again"),
                    "differ": ("[string]", "of them, those that came out differently"),
                    "left": ("integer", "pairs that could not be made again here"),
                },
                "with --rerun",
            ),
        }
    },
    "preview": {
        "note": NOTE,
        "failed": REFUSED,
        "summary": {"output": ("string", "the picture"), "rows": ("integer", "pairs on it")},
    },
    "export": {
        "summary": {
            "out": ("string", "OUT"),
            "dest": ("string", "DEST"),
            "format": ("string", "flat, lmdb, webdataset or huggingface"),
            "folders": ("[string]", "images of each pair"),
            "pairs": ("integer", "pairs in it"),
            "load": ("string", "what to write where a training reads it"),
        }
    },
    "report": {"summary": {"out": ("string", "OUT"), "report": ("string", "the page")}},
    "stage": STAGE,
    "shoot": {
        "shot": SHOT,
        "kept": {"clip": ("string", "clip that is there already")},
        "failed": REFUSED,
        "summary": {
            "out": ("string", "OUT"),
            "shot": ([SHOT], "clips that this run shot"),
            "kept": ("[string]", "names of clips that were there"),
            "failed": ([REFUSED], "pictures that failed"),
        },
    },
    "recipe-ls": {
        "recipe": {
            "name": ("string", "its name"),
            "sha256": ("string", "its hash"),
            "summary": ("string", "what it is for"),
        },
        "summary": {"recipes": ("integer", "how many there are")},
    },
    "recipe-show": {"summary": {"recipe": ("object", "its sections"), "sha256": ("string", "its hash")}},
    "recipe-validate": {
        "summary": {
            "file": ("string", "FILE"),
            "valid": ("boolean", "true; a recipe that is not ends with an error"),
            "unchecked_stages": ("[string]", "stages of the user, whose code is not run here"),
            "sha256": ("string|null", "its hash; null with stages of the user"),
        }
    },
    "recipe-diff": {
        "change": {
            "key": ("string", "section.key"),
            "old": ("any", "value in OLD"),
            "new": ("any", "value in NEW"),
        },
        "summary": {"changes": ("integer", "values that differ; the exit code is then 3")},
    },
    "train-lednet": {
        "step": STEP,
        "summary": [
            {
                "out": ("string", "folder of the training"),
                "iteration": ("integer", "optimiser steps done"),
                "psnr": ("number|null", "of the last validation, dB"),
                "loss": ("number|null", "of the last step of this run"),
                "weights": ("string", "file for restore and evaluate"),
            },
            {  # with --dry-run
                "out": ("string", "folder of the training"),
                "seconds_per_step": ("number", "measured"),
                "hours": ("number", "for all steps"),
                "pairs": ("integer", "to train"),
                "val_pairs": ("integer", "to validate"),
            },
        ],
    },
    "train-darken": {
        "step": STEP,
        "summary": TRAINED
        | {
            "pictures": ("integer", "pictures it was trained on"),
            "exposure": ("object", "requested: [achieved mean, deviation]"),
            "sha256": ("string", "of the weights"),
        },
    },
    "train-interpolator": {
        "step": STEP,
        "summary": TRAINED
        | {
            "step": ("integer", "steps done"),
            "sha256": ("string", "of the weights"),
            "figures": ("object", "held-out video: span: PSNR by method, dB"),
        },
    },
    "train-noise": {
        "step": STEP,
        "summary": TRAINED
        | {
            "pictures": ("integer", "pictures it was trained on"),
            "sha256": ("object", "network: of its weights"),
            "figures": ("object", "name: value"),
        },
    },
    "evaluate": {"summary": SCORES},
    "restore": {
        "note": NOTE,
        "summary": {
            "input": ("string", "INPUT"),
            "output": ("string", "OUTPUT"),
            "frames": ("integer", "frames written"),
        },
    },
    "realism": {
        "summary": {
            "folder": ("string", "FOLDER"),
            "frames": ("integer", "frames that were measured"),
            "figures": ("object", "name: value"),
            "noise_level_function": ("[[number]]", "[level, sigma], code values"),
            "bands": ("object", "name: [low, high] of the published frames"),
            "outside": ("[string]", "figures outside their band"),
            "reference?": ("string", "REFERENCE"),
            "reference_frames?": ("integer", "its frames"),
            "reference_figures?": ("object", "its figures"),
            "reference_noise_level_function?": ("[[number]]", "[level, sigma], code values"),
            "divergence?": ("number", "of the noise histograms, nats"),
            "noise_level_distance?": ("number|null", "RMS, code values"),
        }
    },
    "weights-ls": {
        "weights": {
            "name": ("string", "bundled name"),
            "bytes": ("integer", "size of the file"),
            "sha256": ("string", "of the file"),
        },
        "summary": {"weights": ("integer", "how many there are")},
    },
    "weights-check": {
        "summary": {
            "file": ("string", "FILE"),
            "sha256": ("string", "of the file"),
            "network": ("string", "the network that it fits"),
            "...": ("any", "what its header says"),
        }
    },
    "weights-pack": {
        "summary": {
            "file": ("string", "FILE"),
            "output": ("string", "what was written"),
            "bytes": ("integer", "its size"),
            "sha256": ("string", "of it"),
        }
    },
    "weights-export": {
        "summary": {
            "file": ("string", "FILE"),
            "output": ("string", "what was written"),
            "size": ("[integer]", "width and height of the frames"),
        }
    },
    "doctor": {"summary": {"lolblur-synth": ("string", "version"), "...": ("string", "one line about each thing")}},
}
