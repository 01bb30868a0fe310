package dev.foreshadow.peers;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** Hands out all points in the order of their times, all series of one reading with each poll. */
final class Points implements Source<Point, Points.Whole, Points.Whole> {
    private static final long serialVersionUID = 1;

    private final int series;
    private final long ticks;
    private final int samples;
    private final boolean watermarks;

    Points(int series, long ticks, int samples, boolean watermarks) {
        this.series = series;
        this.ticks = ticks;
        this.samples = samples;
        this.watermarks = watermarks;
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.BOUNDED;
    }

    @Override
    public SourceReader<Point, Whole> createReader(SourceReaderContext context) {
        return new Reader();
    }

    private final class Reader implements SourceReader<Point, Whole> {
        private final Load load = new Load(series, samples);
        private final Point point = new Point();
        private long tick;
        private int reading;

        @Override
        public InputStatus pollNext(ReaderOutput<Point> output) {
            if (tick == ticks) {
                return InputStatus.END_OF_INPUT;
            }
            long tickMs = Load.START_MS + tick * Load.TICK_MS;
            point.timeMs = tickMs + reading * Load.TICK_MS / samples;
            for (int one = 0; one < series; one++) {
                point.series = one;
                point.value = load.value(tick, one, reading);
                if (watermarks) {
                    output.collect(point, point.timeMs);
                } else {
                    output.collect(point);
                }
            }
            if (++reading == samples) {
                reading = 0;
                tick++;
                if (watermarks) {
                    output.emitWatermark(new Watermark(tickMs + Load.TICK_MS - 1));
                }
            }
            return InputStatus.MORE_AVAILABLE;
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return CompletableFuture.completedFuture(null);
        }

        @Override
        public void start() {}

        @Override
        public List<Whole> snapshotState(long checkpoint) {
            return List.of();
        }

        @Override
        public void addSplits(List<Whole> splits) {}

        @Override
        public void notifyNoMoreSplits() {}

        @Override
        public void close() {}
    }

    /** The one reader reads everything: there is nothing to share out, and no checkpoint that would keep it. */
    static final class Whole implements SourceSplit {
        @Override
        public String splitId() {
            return "whole";
        }
    }

    @Override
    public SplitEnumerator<Whole, Whole> createEnumerator(SplitEnumeratorContext<Whole> context) {
        return new SplitEnumerator<>() {
            @Override
            public void start() {}

            @Override
            public void handleSplitRequest(int subtask, String host) {}

            @Override
            public void addSplitsBack(List<Whole> splits, int subtask) {}

            @Override
            public void addReader(int subtask) {}

            @Override
            public Whole snapshotState(long checkpoint) {
                return new Whole();
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public SplitEnumerator<Whole, Whole> restoreEnumerator(SplitEnumeratorContext<Whole> context, Whole whole) {
        return createEnumerator(context);
    }

    @Override
    public SimpleVersionedSerializer<Whole> getSplitSerializer() {
        return new Nothing();
    }

    @Override
    public SimpleVersionedSerializer<Whole> getEnumeratorCheckpointSerializer() {
        return new Nothing();
    }

    private static final class Nothing implements SimpleVersionedSerializer<Whole> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Whole whole) {
            return new byte[0];
        }

        @Override
        public Whole deserialize(int version, byte[] bytes) throws IOException {
            return new Whole();
        }
    }
}
