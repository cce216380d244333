"""Which network a weight file belongs to: each one reads it as it does in use, so that both give the same answer."""

from collections.abc import Callable
from pathlib import Path

from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import cycleisp, dce, flow, lednet, sepconv, vgg

CYCLEISP = ("Rgb2Raw", "ColorBranch", "Raw2Rgb")
Read = Callable[[str], object]
READERS: dict[str, Read] = {  # by the name in the header of a file, or that of the class
    "lednet": lednet.load, "CurveNet": dce.load.__wrapped__, "FlowNet": flow.load.__wrapped__,
    "SepConv": sepconv.load.__wrapped__,
    **{name: lambda file, number=number: cycleisp.load_one(number, file) for number, name in enumerate(CYCLEISP)},
    "vgg19": lambda file: vgg.perceptual("vgg19", weights.resolve(file)),
    "vgg16": lambda file: vgg.perceptual("vgg16", weights.resolve(file)),
    "alexnet": lambda file: vgg.fill(vgg.Features(*vgg.LPIPS["alex"]), weights.resolve(file)),
}  # fmt: skip


def recognise(name_or_path: str) -> dict:
    """{"file", "sha256", "network", …} of bundled weights, a file or the output folder of train-lednet.

    LEDNet is asked first, by what `restore` asks it; `range` is what it takes the values to be. Raises WeightsError
    with the reason of LEDNet where no network here can use the file.
    """
    file = str(Path(name_or_path) / "lednet.safetensors" if Path(name_or_path).is_dir() else name_or_path)
    about = weights.about(file)
    claimed = [name for name in READERS if name == about.get("network")]
    reasons = []
    for name in claimed or READERS:
        try:
            read = READERS[name](file)
        except WeightsError as error:
            reasons.append(error)
        else:
            values = {"range": read[1]} if name == "lednet" else {}
            return {"file": file, "sha256": weights.sha256(file)} | values | about | {"network": name}
    raise reasons[0]
