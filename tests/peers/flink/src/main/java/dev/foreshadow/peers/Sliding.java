package dev.foreshadow.peers;

import org.apache.flink.api.common.functions.AggregateFunction;

/** The aggregate of Flink's own sliding window: one accumulator a window, changed in place. */
final class Sliding implements AggregateFunction<Point, double[], double[]> {
    private static final long serialVersionUID = 1;

    @Override
    public double[] createAccumulator() {
        return Ring.empty();
    }

    @Override
    public double[] add(Point point, double[] pane) {
        Ring.add(pane, point.value);
        return pane;
    }

    @Override
    public double[] getResult(double[] pane) {
        return pane;
    }

    @Override
    public double[] merge(double[] one, double[] other) {
        Ring.merge(one, 0, other, 0);
        return one;
    }
}
