"""LEDNet as an ONNX file, for programs without torch."""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from lolblur_synth.errors import UsageError
from lolblur_synth.models import lednet
from lolblur_synth.tools import weights_scope
from lolblur_synth.training.config import RestoreConfig, checked


def export_onnx(target: str | Path, width: int, height: int, **options) -> None:
    """Write the network as ONNX for frames of one size: (1, 3, height, width), 0..1 in and out, any width and height.

    options: `weights` and `range` of RestoreConfig. The padding, the range and the clipping are inside, and the pooling
    grids are exact, so the answers are those of `restore`. Needs the packages onnx and onnxscript (UsageError).
    """
    config = weights_scope.with_file(checked(RestoreConfig, options))
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise UsageError("ONNX export needs the packages onnx and onnxscript", "pip install 'lolblur-synth[onnx]'")
    model = _Display(*lednet.load(config.weights, config.range, config.network)).eval()
    target = Path(target)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as folder:
        file = Path(folder) / target.name
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, height, width),),
            file,
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["dark"],
            output_names=["restored"],
        )
        os.replace(file, target)


class _Display(nn.Module):
    """`lednet.enhance` as a module."""

    def __init__(self, net: lednet.LEDNet, value_range: str):
        super().__init__()
        self.net, self.value_range = net, value_range

    def forward(self, dark: Tensor) -> Tensor:
        return lednet.enhance(self.net, dark, self.value_range)
