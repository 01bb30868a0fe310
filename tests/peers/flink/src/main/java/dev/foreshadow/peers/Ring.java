package dev.foreshadow.peers;

import java.util.Arrays;

/**
 * A sliding window of panes in one flat array, with at most three merges a tick whatever its length.
 *
 * <p>Ticks are cut into blocks as long as the window. Slots up to the open tick hold this block's panes; the slots after it
 * still hold, for each pane of the block before, what lies from there to that block's end. The window is the prefix of this
 * block and one such suffix. Nothing is subtracted, so nothing drifts.
 */
final class Ring {
    /** Fields of a pane: count, sum, sum of squares, minimum, maximum. */
    static final int FIELDS = 5;

    private final int length;
    private final double[] panes;
    private final double[] prefix = empty();

    Ring(int length) {
        this.length = length;
        panes = new double[length * FIELDS];
        for (int slot = 0; slot < length; slot++) {
            clear(panes, slot * FIELDS);
        }
    }

    static double[] empty() {
        double[] pane = new double[FIELDS];
        clear(pane, 0);
        return pane;
    }

    static void clear(double[] pane, int at) {
        Arrays.fill(pane, at, at + 3, 0.0);
        pane[at + 3] = Double.POSITIVE_INFINITY;
        pane[at + 4] = Double.NEGATIVE_INFINITY;
    }

    static void add(double[] pane, double value) {
        pane[0] += 1.0;
        pane[1] += value;
        pane[2] += value * value;
        pane[3] = value < pane[3] ? value : pane[3];
        pane[4] = value > pane[4] ? value : pane[4];
    }

    static void merge(double[] into, int to, double[] from, int at) {
        into[to] += from[at];
        into[to + 1] += from[at + 1];
        into[to + 2] += from[at + 2];
        into[to + 3] = from[at + 3] < into[to + 3] ? from[at + 3] : into[to + 3];
        into[to + 4] = from[at + 4] > into[to + 4] ? from[at + 4] : into[to + 4];
    }

    /** Closes a tick; the window that ends with it goes to {@code window}. */
    void close(long tick, double[] pane, double[] window) {
        int slot = (int) (tick % length);
        System.arraycopy(pane, 0, panes, slot * FIELDS, FIELDS);
        merge(prefix, 0, pane, 0);
        System.arraycopy(prefix, 0, window, 0, FIELDS);
        if (slot + 1 < length) {
            merge(window, 0, panes, (slot + 1) * FIELDS);
            return;
        }
        for (int earlier = length - 2; earlier >= 0; earlier--) {
            merge(panes, earlier * FIELDS, panes, (earlier + 1) * FIELDS);
        }
        clear(prefix, 0);
    }
}
