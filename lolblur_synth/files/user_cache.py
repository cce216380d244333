"""The folder of this package in the user's cache. What lies in it can be made again."""

import os
from pathlib import Path


def folder() -> Path:
    """$XDG_CACHE_HOME/lolblur-synth, by default ~/.cache/lolblur-synth; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lolblur-synth"
