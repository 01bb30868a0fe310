"""The hand-written state of one series: the open second, and two rings of closed ones.

Ticks are cut into blocks as long as the window. Slots up to the open tick hold this block's panes; the slots after it still
hold, for each pane of the block before, what lies from there to that block's end. The window is the prefix of this block and
one such suffix: at most three merges a tick, whatever the length, and nothing is subtracted.
"""

INFINITY = float("inf")
EMPTY = (0, 0.0, 0.0, INFINITY, -INFINITY)


def merge(a, b):
    """Two panes as one."""
    return (
        a[0] + b[0],
        a[1] + b[1],
        a[2] + b[2],
        a[3] if a[3] < b[3] else b[3],
        a[4] if a[4] > b[4] else b[4],
    )


class Ring:
    """A sliding window of `length` panes."""

    __slots__ = ("length", "panes", "prefix")

    def __init__(self, length):
        self.length = length
        self.panes = [EMPTY] * length
        self.prefix = EMPTY

    def close(self, tick, pane):
        """Takes a closed pane in; the window that ends with it."""
        panes, slot = self.panes, tick % self.length
        panes[slot] = pane
        prefix = self.prefix = merge(self.prefix, pane)
        if slot + 1 < self.length:
            return merge(prefix, panes[slot + 1])
        for earlier in range(self.length - 2, -1, -1):
            panes[earlier] = merge(panes[earlier], panes[earlier + 1])
        self.prefix = EMPTY
        return prefix


class Windows:
    """What is kept of a series."""

    __slots__ = ("tick", "count", "total", "squares", "least", "most", "ten_seconds", "minute")

    def __init__(self):
        self.tick = None
        self.count, self.total, self.squares, self.least, self.most = EMPTY
        self.ten_seconds = Ring(10)
        self.minute = Ring(60)

    def push(self, tick, value):
        """Takes a reading in. The first of a later tick closes the open one: its windows; otherwise none."""
        closed = None
        if tick != self.tick:
            closed = self.turn(tick)
        self.count += 1
        self.total += value
        self.squares += value * value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        return closed

    def turn(self, tick):
        """Closes ticks until `tick` is open."""
        if self.tick is None:
            self.tick = tick
            return None
        pane = (self.count, self.total, self.squares, self.least, self.most)
        closed = (self.tick, pane, self.ten_seconds.close(self.tick, pane), self.minute.close(self.tick, pane))
        for skipped in range(self.tick + 1, tick):
            self.ten_seconds.close(skipped, EMPTY)
            self.minute.close(skipped, EMPTY)
        self.tick = tick
        self.count, self.total, self.squares, self.least, self.most = EMPTY
        return closed
