package dev.foreshadow.peers;

/**
 * The points: a value for every series and reading, by integer arithmetic, so that every language gets the same bits.
 *
 * <p>See the README two folders above for the formula and why the values come again after 64 ticks.
 */
final class Load {
    /** The first event time, a whole minute. */
    static final long START_MS = 1_767_225_600_000L;

    static final long TICK_MS = 1_000;

    /** Ticks whose values differ. */
    static final int DISTINCT = 64;

    private final int series;
    private final int samples;

    /** By tick, then series, then reading within the tick. */
    private final double[] values;

    Load(int series, int samples) {
        this.series = series;
        this.samples = samples;
        values = new double[DISTINCT * series * samples];
        int at = 0;
        for (int tick = 0; tick < DISTINCT; tick++) {
            for (long one = 0; one < series; one++) {
                for (long reading = 0; reading < samples; reading++) {
                    values[at++] = value(one, (long) tick * samples + reading);
                }
            }
        }
    }

    double value(long tick, int one, int reading) {
        return values[((int) (tick % DISTINCT) * series + one) * samples + reading];
    }

    /** Within 1 and 1.5, on a grid that single floats hold exactly. */
    private static double value(long series, long index) {
        long z = ((series << 32) | index) + 0x9e3779b97f4a7c15L;
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        z = z ^ (z >>> 31);
        return 1.0 + (z >>> 42) / 8_388_608.0;
    }
}
