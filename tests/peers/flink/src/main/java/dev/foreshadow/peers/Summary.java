package dev.foreshadow.peers;

/** What leaves for one series and tick: the windows of 1, 10 and 60 s, each a pane's fields. Filled again and again. */
public final class Summary {
    int series;
    long tick;
    final double[][] windows = {Ring.empty(), Ring.empty(), Ring.empty()};
}
