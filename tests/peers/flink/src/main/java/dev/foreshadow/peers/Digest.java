package dev.foreshadow.peers;

import java.util.Locale;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/** The sink: reads every output, and sums what came from the sixtieth tick on, when every window is full. */
final class Digest implements Sink<Summary> {
    private static final long serialVersionUID = 1;
    private static final long FIRST_TICK = Load.START_MS / Load.TICK_MS + 60;
    private static final long[] LENGTHS_MS = {1_000, 10_000, 60_000};
    private static final String[] NAMES = {"count", "mean", "min", "max", "variance"};

    /** By window: outputs, then the sums. The mini-cluster runs in this process, and one writer writes. */
    private static final double[][] SUMS = new double[LENGTHS_MS.length][1 + NAMES.length];

    private final long lastTick;

    Digest(long ticks) {
        lastTick = Load.START_MS / Load.TICK_MS + ticks - 1;
    }

    @Override
    public SinkWriter<Summary> createWriter(WriterInitContext context) {
        return new SinkWriter<>() {
            @Override
            public void write(Summary summary, Context context) {
                if (summary.tick >= FIRST_TICK && summary.tick <= lastTick) {
                    for (int window = 0; window < LENGTHS_MS.length; window++) {
                        add(SUMS[window], summary.windows[window]);
                    }
                }
            }

            @Override
            public void flush(boolean endOfInput) {}

            @Override
            public void close() {}
        };
    }

    /** A window that the program does not have is empty. */
    private static void add(double[] sums, double[] pane) {
        double count = pane[0];
        if (count == 0.0) {
            return;
        }
        double mean = pane[1] / count;
        sums[0] += 1.0;
        sums[1] += count;
        sums[2] += mean;
        sums[3] += pane[3];
        sums[4] += pane[4];
        sums[5] += Math.max(0.0, pane[2] / count - mean * mean);
    }

    static String json() {
        StringBuilder json = new StringBuilder("{");
        for (int window = 0; window < LENGTHS_MS.length; window++) {
            double[] sums = SUMS[window];
            if (sums[0] == 0.0) {
                continue;
            }
            json.append(json.length() > 1 ? "," : "");
            json.append(String.format(Locale.ROOT, "\"%d\":{\"rows\":%d", LENGTHS_MS[window], (long) sums[0]));
            for (int name = 0; name < NAMES.length; name++) {
                json.append(String.format(Locale.ROOT, ",\"%s\":%.17g", NAMES[name], sums[1 + name]));
            }
            json.append('}');
        }
        return json.append('}').toString();
    }
}
