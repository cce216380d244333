"""A small U-Net in LEDNet's place: lolblur-synth train-lednet out/ -o unet-out --network examples/unet.py:UNet"""

import torch
from torch import nn


class UNet(nn.Module):
    """(N, 3, H, W) display RGB, 0..1, to the same, H and W multiples of 4."""

    multiple = 4

    def __init__(self, width: int = 16):
        super().__init__()
        self.at_full = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())
        self.at_half = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU())
        self.at_quarter = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), nn.ReLU())
        self.up_to_half = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.up_to_full = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x):
        full = self.at_full(x)
        half = self.at_half(full)
        half = torch.relu(half + self.up_to_half(self.at_quarter(half)))
        return x + self.last(torch.relu(full + self.up_to_full(half)))
