"""One program of the comparison: main.py stateful-map|stateful-batch|sliding SERIES TICKS SAMPLES."""

import gc
import sys
import time
from datetime import timedelta

import bytewax.operators as op
import load
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from windows import EMPTY, Windows


class Points(DynamicSource):
    """All points in the order of their times, all series of one reading in a batch."""

    def __init__(self, size, stamp):
        self.size, self.stamp = size, stamp

    def build(self, step_id, worker_index, worker_count):
        return Reader(self.size, self.stamp)


class Reader(StatelessSourcePartition):
    """What `stamp` makes of a time is made once a batch."""

    def __init__(self, size, stamp):
        self.series, self.ticks, self.samples = size
        self.stamp = stamp
        self.keys = [str(one) for one in range(self.series)]
        self.values = load.table(self.series, self.samples)
        self.tick = self.reading = 0

    def next_batch(self):
        if self.tick == self.ticks:
            raise StopIteration()
        time_ms = load.START_MS + self.tick * load.TICK_MS + self.reading * load.TICK_MS // self.samples
        at = self.stamp(time_ms)
        values = self.values[self.tick % load.DISTINCT][self.reading]
        self.reading += 1
        if self.reading == self.samples:
            self.tick, self.reading = self.tick + 1, 0
        return [(key, (at, value)) for key, value in zip(self.keys, values)]


class Sink(DynamicSink):
    """Every output, to the function that adds it to the digest."""

    def __init__(self, write):
        self.write = write

    def build(self, step_id, worker_index, worker_count):
        return Writer(self.write)


class Writer(StatelessSinkPartition):
    """Batch by batch."""

    def __init__(self, write):
        self.write = write

    def write_batch(self, items):
        for item in items:
            self.write(item)


def tick_of(time_ms):
    """Ticks counted from zero, so that the rings of all programs turn at the same times."""
    return (time_ms - load.START_MS) // load.TICK_MS


def fold_by_hand(windows, point):
    """For `stateful_map`: one output an input, none where no tick was closed."""
    if windows is None:
        windows = Windows()
    return windows, windows.push(*point)


class Batches(StatefulBatchLogic):
    """For `stateful_batch`, the lowest operator, on which the others stand."""

    def __init__(self):
        self.windows = Windows()

    def on_batch(self, values):
        push = self.windows.push
        closed = [push(tick, value) for tick, value in values]
        return [one for one in closed if one is not None], StatefulBatchLogic.RETAIN

    def snapshot(self):
        # Asked for at the end of an epoch, though without a recovery store nothing is kept.
        return None


def by_hand(flow, size, digest, batches):
    """One tick more is fed than is counted: it closes the last one."""
    series, ticks, samples = size
    points = op.input("points", flow, Points((series, ticks + 1, samples), tick_of))
    if batches:
        closed = op.stateful_batch("windows", points, lambda _: Batches())
    else:
        folded = op.stateful_map("windows", points, fold_by_hand)
        closed = op.filter("closed", folded, lambda item: item[1] is not None)

    def write(item):
        tick, second, ten_seconds, minute = item[1]
        digest.add(tick, 1_000, second)
        digest.add(tick, 10_000, ten_seconds)
        digest.add(tick, 60_000, minute)

    op.output("digest", closed, Sink(write))


def fold(pane, point):
    """Changes a window's accumulator in place."""
    value = point[1]
    pane[0] += 1
    pane[1] += value
    pane[2] += value * value
    if value < pane[3]:
        pane[3] = value
    if value > pane[4]:
        pane[4] = value
    return pane


def sliding(flow, size, digest):
    """Bytewax's own window of 60 s by 1 s. Its clock stands still: only events move the watermark."""
    start = load.instant(load.START_MS)
    clock = EventClock(lambda point: point[0], timedelta(0), now_getter=lambda: start, to_system_utc=lambda _: None)
    windower = SlidingWindower(length=timedelta(seconds=60), offset=timedelta(seconds=1), align_to=start)
    points = op.input("points", flow, Points(size, load.instant))
    folded = fold_window(
        "windows",
        points,
        clock,
        windower,
        builder=lambda: list(EMPTY),
        folder=fold,
        merger=lambda a, b: [a[0] + b[0], a[1] + b[1], a[2] + b[2], min(a[3], b[3]), max(a[4], b[4])],
        ordered=False,
    )

    def write(item):
        number, pane = item[1]
        digest.add(number + 59, 60_000, pane)

    op.output("digest", folded.down, Sink(write))


def main():
    """Builds the flow that was named, and runs it in this thread."""
    begun = time.perf_counter()
    # Nothing here refers to itself; the collector would walk all panes again and again for a third of the time.
    gc.disable()
    program, size = sys.argv[1], tuple(int(number) for number in sys.argv[2:5])
    digest = load.Digest(size[1])
    flow = Dataflow("peer")
    match program:
        case "stateful-map":
            by_hand(flow, size, digest, batches=False)
        case "stateful-batch":
            by_hand(flow, size, digest, batches=True)
        case "sliding":
            sliding(flow, size, digest)
        case _:
            sys.exit(f"no such program: {program}")
    run_main(flow)
    load.report(program, begun, size, digest)


main()
