package dev.foreshadow.peers;

/** The state of one series in the hand-written programs: the open second, and two rings of closed ones. */
public final class Windows {
    private long tick = -1;
    private final double[] open = Ring.empty();
    private final Ring tenSeconds = new Ring(10);
    private final Ring minute = new Ring(60);

    /** Whether a reading of this tick closes an earlier one that held readings. */
    boolean closes(long next) {
        return next != tick && open[0] > 0.0;
    }

    /** Closes the open tick into {@code summary}. */
    void close(int series, Summary summary) {
        summary.series = series;
        summary.tick = tick;
        System.arraycopy(open, 0, summary.windows[0], 0, Ring.FIELDS);
        tenSeconds.close(tick, open, summary.windows[1]);
        minute.close(tick, open, summary.windows[2]);
        Ring.clear(open, 0);
        tick += 1;
    }

    /** Opens a tick; those in between were without readings. */
    void open(long next, double[] unused) {
        if (tick < 0) {
            tick = next;
        }
        for (; tick < next; tick++) {
            tenSeconds.close(tick, open, unused);
            minute.close(tick, open, unused);
        }
    }

    void add(double value) {
        Ring.add(open, value);
    }
}
