package dev.foreshadow.peers;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * All three windows in one operator. A tick of a series is closed by the series' first reading of the next one: no timers, no
 * watermarks, and input in order is taken for granted.
 */
final class HandWritten extends KeyedProcessFunction<Integer, Point, Summary> {
    private static final long serialVersionUID = 1;

    private transient ValueState<Windows> state;
    private transient Summary summary;
    private transient double[] unused;

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(new ValueStateDescriptor<>("windows", Windows.class));
        summary = new Summary();
        unused = Ring.empty();
    }

    @Override
    public void processElement(Point point, Context context, Collector<Summary> output) throws Exception {
        Windows windows = state.value();
        if (windows == null) {
            windows = new Windows();
            state.update(windows);
        }
        long tick = point.timeMs / Load.TICK_MS;
        if (windows.closes(tick)) {
            windows.close(point.series, summary);
            output.collect(summary);
        }
        windows.open(tick, unused);
        // Heap state hands out the object itself: what is changed in place is kept.
        windows.add(point.value);
    }
}
