"""From footage to batches: python examples/ten_lines.py videos/ out/ [section.key=value …]"""

import sys

from torch.utils.data import DataLoader

import lolblur_synth

videos, out, *settings = sys.argv[1:]
summary = lolblur_synth.build(videos, out, recipe="fast", set=settings)
print(f"{summary.built} pairs built, {summary.already} were there, {len(summary.failed)} failed")
pairs = lolblur_synth.PairDataset(out, split="train", crop=64)
for low, high in DataLoader(pairs, batch_size=4, shuffle=True):
    print(f"{tuple(low.shape)}: {low.mean():.3f} in, {high.mean():.3f} wanted")  # train on them here
