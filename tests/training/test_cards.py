"""Cards: every command on one can be pasted into a shell, and the program understands it."""

import shlex
from pathlib import Path

import click
import pytest

from lolblur_synth import cli
from lolblur_synth.files.weights import BUNDLED
from lolblur_synth.training.cards import changed_numbers, made_by
from lolblur_synth.training.config import NoiseTraining

OPTIONS = {
    "--pairs": (),
    "--held-out": ["it's.mp4", "b $x.mp4"],
    "-o": Path("-mine"),
    "--size": "lite",
    "--steps": 7,
    "--seed": 3,
    "--device": "cpu",
    "--nothing": None,
}


def commands_of(markdown: str) -> list[list[str]]:
    """The words of each command of ours in the fenced blocks of a card."""
    blocks = markdown.split("```")[1::2]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("lolblur-synth ")]


def parsed(words: list[str]) -> dict:
    """The values that the program would run with. Raises click.UsageError."""
    command: click.Command = cli.main
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    return command.make_context(name, list(words), help_option_names=["-h", "--help"]).params


@pytest.mark.parametrize("card", sorted(BUNDLED.rglob("*.md")), ids=lambda file: file.parent.name + "/" + file.stem)
def test_the_program_understands_every_command_on_a_bundled_card(card):
    commands = commands_of(card.read_text())
    assert commands, "a card says how its weights are made again"
    for words in commands:
        parsed(words)


def test_a_command_with_spaces_quotes_and_dashes_comes_back_as_it_was_given():
    inputs = ["my photos/", "a;b.png", "-dash.png", "naïve|pipe`.mp4"]
    (words,) = commands_of("\n".join(made_by("train-noise", inputs, OPTIONS)))
    values = parsed(words)
    assert [str(path) for path in values["inputs"]] == ["my photos", "a;b.png", "-dash.png", "naïve|pipe`.mp4"]
    assert [str(path) for path in values["held_out"]] == ["it's.mp4", "b $x.mp4"]
    assert str(values["out"]) == "-mine"
    assert values["steps"] == 7
    assert values["seed"] == 3
    assert values["pairs"] == ()


def test_numbers_that_the_command_cannot_say_are_named_beside_it():
    changed = made_by("train-noise", ["a"], {}, changed_numbers(NoiseTraining(batch_size=4)))
    assert "batch_size=4" in changed[0]
    assert "size=48" not in changed[0]
    assert "Python" not in made_by("train-noise", ["a"], {}, changed_numbers(NoiseTraining()))[0]
