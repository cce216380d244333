"""Weights of LEDNet in half precision, to share them: half the size, and the header of the file they come from."""

from pathlib import Path

from lolblur_synth.errors import UsageError
from lolblur_synth.files import weights
from lolblur_synth.models import lednet, scope
from lolblur_synth.tools import outputs


def pack(file: str | Path, target: str | Path, expect: str = "", overwrite: bool = False) -> str:
    """Write TARGET, a safetensors file of float16. Returns its sha256.

    file: weights, a bundled name, or the output folder of train-lednet. expect: a sentence for the header, which
    `restore` says; "": the file's own. Raises WeightsError, and UsageError for a sentence that a header cannot hold, a
    target of another suffix, or one that exists (unless `overwrite`).
    """
    file, target = Path(file), Path(target)
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: weights are written as .safetensors", "give such a name")
    file = file / "lednet.safetensors" if file.is_dir() else file
    outputs.claim([target], [file], overwrite)
    net, value_range = lednet.load(file)
    about = weights.about(file) | {"network": "lednet", "options": net.options, "range": value_range}
    if expect:
        about["expect"] = expect
        if "expect" in scope.read(about)[1]:
            raise UsageError(
                "--expect is no sentence for a header", f"at most {scope.MAX_SENTENCE} printable characters"
            )
    return weights.save(net.half(), target, about)
