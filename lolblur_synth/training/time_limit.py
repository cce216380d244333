"""How long a training has taken, over all of its parts, and how long it may take."""

import math
import time


class TimeLimit:
    """Counts the seconds of a training, those of its earlier parts included (`before`, kept in its checkpoints)."""

    def __init__(self, minutes: float):
        """minutes: the limit; 0: none."""
        self.limit = 60 * minutes or math.inf
        self.before = 0.0
        self.started = time.monotonic()

    def begin(self) -> float:
        """Start to count. Returns the share of the limit that earlier parts took, 0 and up."""
        self.started = time.monotonic()
        return self.before / self.limit

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def left(self) -> float:
        """Seconds until the limit; infinite without one."""
        return max(0.0, self.limit - self.seconds())

    def share(self) -> float:
        """How much of the limit is over, 0..1; 0 without a limit."""
        return min(1.0, self.seconds() / self.limit)

    def is_over(self) -> bool:
        return self.seconds() >= self.limit
