"""The points and the digest, as in the other programs; the README in the folder above has the formula."""

import json
import time
from datetime import datetime, timedelta, timezone

START_MS = 1_767_225_600_000
TICK_MS = 1_000
# Ticks whose values differ.
DISTINCT = 64
# The first tick, counted from zero, whose outputs count: every window is full.
FIRST_TICK = 60
NAMES = ("count", "mean", "min", "max", "variance")

_MASK = (1 << 64) - 1


def value(series, index):
    """Within 1 and 1.5, on a grid that single floats hold exactly."""
    z = ((series << 32 | index) + 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    z ^= z >> 31
    return 1.0 + (z >> 42) / 8_388_608.0


def table(series, samples):
    """By distinct tick and reading within it: the values of all series."""
    return [
        [[value(one, tick * samples + reading) for one in range(series)] for reading in range(samples)]
        for tick in range(DISTINCT)
    ]


def instant(time_ms):
    """A time as Bytewax wants it."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=time_ms)


class Digest:
    """Sums over outputs, by window in milliseconds. A pane is count, sum, sum of squares, minimum, maximum."""

    def __init__(self, ticks):
        self.ticks = ticks
        self.sums = {}

    def add(self, tick, window_ms, pane):
        """Adds one output of a tick, counted from zero."""
        if not FIRST_TICK <= tick < self.ticks:
            return
        sums = self.sums.get(window_ms)
        if sums is None:
            sums = self.sums[window_ms] = [0, 0.0, 0.0, 0.0, 0.0, 0.0]
        count, total, squares, least, most = pane
        mean = total / count
        sums[0] += 1
        sums[1] += count
        sums[2] += mean
        sums[3] += least
        sums[4] += most
        sums[5] += max(0.0, squares / count - mean * mean)

    def json(self):
        """As the other programs print it."""
        return {str(window): dict(zip(("rows", *NAMES), sums)) for window, sums in sorted(self.sums.items())}


def report(program, begun, size, digest):
    """Prints the one line of a program."""
    series, ticks, samples = size
    line = {
        "engine": "bytewax",
        "program": program,
        "series": series,
        "ticks": ticks,
        "samples": samples,
        "points": series * ticks * samples,
        "wall_seconds": round(time.perf_counter() - begun, 3),
        "cpu_seconds": round(time.process_time(), 3),
        "digest": digest.json(),
    }
    print(json.dumps(line))
