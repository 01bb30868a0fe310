package dev.foreshadow.peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Locale;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** One program of the comparison: {@code hand-written | chained | sliding SERIES TICKS SAMPLES}. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String program = arguments[0];
        int series = Integer.parseInt(arguments[1]);
        long ticks = Long.parseLong(arguments[2]);
        int samples = Integer.parseInt(arguments[3]);

        StreamExecutionEnvironment environment = environment();
        DataStream<Summary> summaries =
                switch (program) {
                    case "hand-written" -> handWritten(environment, series, ticks, samples, false);
                    case "chained" -> handWritten(environment, series, ticks, samples, true);
                    case "sliding" -> sliding(environment, series, ticks, samples);
                    default -> throw new IllegalArgumentException("no such program: " + program);
                };
        summaries.sinkTo(new Digest(ticks));
        environment.execute(program);
        report(program, series, ticks, samples);
    }

    /** Parallelism 1, object reuse, heap state (the default), no checkpoints (the default). */
    private static StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(PipelineOptions.OBJECT_REUSE, true);
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment.setParallelism(1);
        return environment;
    }

    /** One tick more is fed than is counted: it closes the last one. */
    private static DataStream<Summary> handWritten(
            StreamExecutionEnvironment environment, int series, long ticks, int samples, boolean chained) {
        DataStream<Point> points = points(environment, new Points(series, ticks + 1, samples, false));
        return keyed(points, series, chained).process(new HandWritten());
    }

    private static DataStream<Summary> sliding(
            StreamExecutionEnvironment environment, int series, long ticks, int samples) {
        DataStream<Point> points = points(environment, new Points(series, ticks, samples, true));
        return keyed(points, series, false)
                .window(SlidingEventTimeWindows.of(
                        Duration.ofSeconds(60), Duration.ofSeconds(1)))
                .aggregate(new Sliding(), new Told());
    }

    /** The source tells its own watermarks, or none are needed. */
    private static DataStream<Point> points(StreamExecutionEnvironment environment, Points points) {
        return environment.fromSource(points, WatermarkStrategy.noWatermarks(), "points", new PointType());
    }

    /** Chained, source and windows are one task, and no point is serialised: possible at parallelism 1 only. */
    private static KeyedStream<Point, Integer> keyed(DataStream<Point> points, int series, boolean chained) {
        Keys keys = new Keys(series);
        return chained
                ? DataStreamUtils.reinterpretAsKeyedStream(points, keys, Types.INT)
                : points.keyBy(keys, Types.INT);
    }

    /** Boxed once and for all. */
    private static final class Keys implements KeySelector<Point, Integer> {
        private static final long serialVersionUID = 1;
        private final Integer[] boxed;

        Keys(int series) {
            boxed = new Integer[series];
            for (int one = 0; one < series; one++) {
                boxed[one] = one;
            }
        }

        @Override
        public Integer getKey(Point point) {
            return boxed[point.series];
        }
    }

    /** Tells a window's series and last tick. */
    private static final class Told implements WindowFunction<double[], Summary, Integer, TimeWindow> {
        private static final long serialVersionUID = 1;
        private transient Summary summary;

        @Override
        public void apply(Integer series, TimeWindow window, Iterable<double[]> panes, Collector<Summary> output) {
            if (summary == null) {
                summary = new Summary();
            }
            summary.series = series;
            summary.tick = window.getEnd() / Load.TICK_MS - 1;
            System.arraycopy(panes.iterator().next(), 0, summary.windows[2], 0, Ring.FIELDS);
            output.collect(summary);
        }
    }

    private static void report(String program, int series, long ticks, int samples) {
        double wall = (System.currentTimeMillis() - ManagementFactory.getRuntimeMXBean().getStartTime()) / 1e3;
        double cpu =
                ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9;
        System.out.printf(
                Locale.ROOT,
                "{\"engine\":\"flink\",\"program\":\"%s\",\"series\":%d,\"ticks\":%d,\"samples\":%d,\"points\":%d,"
                        + "\"wall_seconds\":%.3f,\"cpu_seconds\":%.3f,\"digest\":%s}%n",
                program, series, ticks, samples, series * ticks * samples, wall, cpu, Digest.json());
    }
}
