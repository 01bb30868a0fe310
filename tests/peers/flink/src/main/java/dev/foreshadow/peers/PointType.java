package dev.foreshadow.peers;

import java.io.IOException;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Points on the wire: twenty bytes, without the null flags of Flink's own serializer of plain classes. */
final class PointType extends TypeInformation<Point> {
    private static final long serialVersionUID = 1;

    @Override
    public boolean isBasicType() {
        return false;
    }

    @Override
    public boolean isTupleType() {
        return false;
    }

    @Override
    public int getArity() {
        return 1;
    }

    @Override
    public int getTotalFields() {
        return 1;
    }

    @Override
    public Class<Point> getTypeClass() {
        return Point.class;
    }

    @Override
    public boolean isKeyType() {
        return false;
    }

    @Override
    public TypeSerializer<Point> createSerializer(SerializerConfig config) {
        return new Serializer();
    }

    @Override
    public String toString() {
        return "Point";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PointType;
    }

    @Override
    public int hashCode() {
        return PointType.class.hashCode();
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof PointType;
    }

    /** Field by field. */
    public static final class Serializer extends TypeSerializerSingleton<Point> {
        private static final long serialVersionUID = 1;

        @Override
        public boolean isImmutableType() {
            return false;
        }

        @Override
        public Point createInstance() {
            return new Point();
        }

        @Override
        public Point copy(Point from) {
            return copy(from, new Point());
        }

        @Override
        public Point copy(Point from, Point reuse) {
            reuse.series = from.series;
            reuse.timeMs = from.timeMs;
            reuse.value = from.value;
            return reuse;
        }

        @Override
        public int getLength() {
            return Integer.BYTES + Long.BYTES + Double.BYTES;
        }

        @Override
        public void serialize(Point point, DataOutputView target) throws IOException {
            target.writeInt(point.series);
            target.writeLong(point.timeMs);
            target.writeDouble(point.value);
        }

        @Override
        public Point deserialize(DataInputView source) throws IOException {
            return deserialize(new Point(), source);
        }

        @Override
        public Point deserialize(Point reuse, DataInputView source) throws IOException {
            reuse.series = source.readInt();
            reuse.timeMs = source.readLong();
            reuse.value = source.readDouble();
            return reuse;
        }

        @Override
        public void copy(DataInputView source, DataOutputView target) throws IOException {
            target.write(source, getLength());
        }

        @Override
        public TypeSerializerSnapshot<Point> snapshotConfiguration() {
            return new Snapshot();
        }
    }

    /** Asked for by Flink; nothing is kept here. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Point> {
        public Snapshot() {
            super(Serializer::new);
        }
    }
}
