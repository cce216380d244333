"""Small networks for Table 1, in LEDNet's place through `--network`. Frames are (N, 3, H, W), 0..1.

CurveEnhancer  brightens, pixel by pixel, by curves that it predicts: the idea of Zero-DCE (CVPR 2020), trained on pairs
SmallMimo      a U-Net that is given the frame at three sizes and answers at two: the idea of MIMO-UNet (ICCV 2021)

Both are written from the papers and as small as LEDNet at a quarter of its width; neither is the authors' network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 8  # Zero-DCE: iterations of the curve, each with maps of its own
WIDTHS = (12, 32, 64)  # channels of SmallMimo at 1/1, 1/2 and 1/4 of the size: most where pixels are few


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class CurveEnhancer(nn.Module):
    """Seven convolutions predict the maps A of x + A x (1 - x), iterated; here A is 0..1, to brighten alone.

    width: half of Zero-DCE's, whose 32 channels at the full size take longer than LEDNet at a quarter of its width.
    """

    multiple = 1

    def __init__(self, width: int = 16):
        super().__init__()
        self.down = nn.ModuleList([conv(3, width), conv(width, width), conv(width, width), conv(width, width)])
        self.up = nn.ModuleList([conv(2 * width, width), conv(2 * width, width), conv(2 * width, 3 * STEPS)])

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.down:
            features.append(F.relu(layer(features[-1])))
        _, first, second, third, last = features
        last = F.relu(self.up[0](torch.cat((third, last), 1)))
        last = F.relu(self.up[1](torch.cat((second, last), 1)))
        maps = torch.sigmoid(self.up[2](torch.cat((first, last), 1)))
        for step in maps.split(3, 1):
            x = x + step * x * (1 - x)
        return x


class Residual(nn.Sequential):
    def __init__(self, width: int):
        super().__init__(conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class SmallMimo(nn.Module):
    """Two halvings with the smaller frame beside the feature, and back; the answer at a quarter of the size is the side
    output. Each answer is added to the frame that was given."""

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        w1, w2, w3 = WIDTHS
        self.encode1 = nn.Sequential(conv(3, w1), nn.ReLU(), Residual(w1))
        self.encode2 = nn.Sequential(conv(w1 + 3, w2), nn.ReLU(), Residual(w2), Residual(w2))
        self.encode3 = nn.Sequential(conv(w2 + 3, w3), nn.ReLU(), Residual(w3), Residual(w3), Residual(w3))
        self.side = conv(w3, 3)
        self.decode2 = nn.Sequential(conv(w3 + w2, w2), nn.ReLU(), Residual(w2), Residual(w2))
        self.decode1 = nn.Sequential(conv(w2 + w1, w1), nn.ReLU(), Residual(w1))
        self.tail = conv(w1, 3)

    def initialise(self) -> None:
        """Begins as the frame itself."""
        for last in (self.side, self.tail):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half, quarter = F.avg_pool2d(x, 2), F.avg_pool2d(x, 4)
        f1 = self.encode1(x)
        f2 = self.encode2(torch.cat((F.avg_pool2d(f1, 2), half), 1))
        f3 = self.encode3(torch.cat((F.avg_pool2d(f2, 2), quarter), 1))
        f2 = self.decode2(torch.cat((_doubled(f3), f2), 1))
        f1 = self.decode1(torch.cat((_doubled(f2), f1), 1))
        return quarter + self.side(f3), x + self.tail(f1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
