package dev.foreshadow.peers;

/** One reading of one series. One object is filled again and again: object reuse is on. */
public final class Point {
    int series;
    long timeMs;
    double value;
}
