"""The network in ONNX Runtime, on the weights and questions that our own measurement has left in a folder.

`main.py FOLDER`: checks that both answer alike, and prints microseconds a sequence, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

# Of what both answer: sums of some hundred products are made in another order.
TOLERANCE = 1e-4
# Runs, of which the quickest counts; less time than that at once would measure the clock.
RUNS, LEAST_SEQUENCES = 30, 512
BATCHES = (1, 64, 512)


def numbers(folder, name, *shape):
    return np.fromfile(folder / f"{name}.f32", dtype="<f4").reshape(shape)


def layers(folder, shape):
    """Matrices, inputs by outputs, and biases: two a gate, in the order input, forget, cell, output; then the head's two."""
    inputs, hidden = shape["channels"], shape["hidden"]
    sizes = [(inputs, hidden), (hidden, hidden)] * 4
    sizes += [(hidden + shape["context"], shape["wide"]), (shape["wide"], shape["outputs"])]
    rest, found = numbers(folder, "weights", -1), []
    for inputs, outputs in sizes:
        matrix, bias, rest = np.split(rest, [inputs * outputs, (inputs + 1) * outputs])
        found.append((matrix.reshape(inputs, outputs), bias))
    assert rest.size == 0, f"{rest.size} weights too many"
    return found


def network(folder, shape):
    *gates, wide, narrow = layers(folder, shape)
    # ONNX has the output gate second.
    order = [0, 3, 1, 2]
    of_inputs, of_hidden = ([gates[2 * gate + which] for gate in order] for which in (0, 1))
    rows = lambda some: np.concatenate([matrix.T for matrix, _ in some])[None]
    biases = np.concatenate([bias for _, bias in of_inputs + of_hidden])[None]
    constants = {
        "w": rows(of_inputs), "r": rows(of_hidden), "b": biases, "first": np.array([0]),
        "wide": wide[0], "wide_bias": wide[1], "narrow": narrow[0], "narrow_bias": narrow[1],
    }
    nodes = [
        helper.make_node("LSTM", ["sequences", "w", "r", "b"], ["", "last"], hidden_size=shape["hidden"]),
        helper.make_node("Squeeze", ["last", "first"], ["state"]),
        helper.make_node("Concat", ["state", "context"], ["row"], axis=1),
        helper.make_node("Gemm", ["row", "wide", "wide_bias"], ["summed"]),
        helper.make_node("Relu", ["summed"], ["between"]),
        helper.make_node("Gemm", ["between", "narrow", "narrow_bias"], ["outputs"]),
    ]
    value = lambda name, *dimensions: helper.make_tensor_value_info(name, TensorProto.FLOAT, dimensions)
    graph = helper.make_graph(
        nodes,
        "network",
        [value("sequences", shape["steps"], "n", shape["channels"]), value("context", "n", shape["context"])],
        [value("outputs", "n", shape["outputs"])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def main():
    folder = Path(sys.argv[1])
    shape = json.loads((folder / "shape.json").read_text())
    sequences = numbers(folder, "sequences", -1, shape["steps"], shape["channels"])
    context, expected = (numbers(folder, name, -1, shape[name]) for name in ("context", "outputs"))
    # Steps first, as ONNX has it.
    sequences = np.ascontiguousarray(sequences.transpose(1, 0, 2))
    session = network(folder, shape)
    answer = lambda count: session.run(
        None, {"sequences": np.ascontiguousarray(sequences[:, :count]), "context": context[:count]}
    )[0]
    off = float(np.abs(answer(len(context)) - expected).max())
    rows = []
    for batch in BATCHES:
        inputs = {"sequences": np.ascontiguousarray(sequences[:, :batch]), "context": context[:batch]}
        times = max(1, LEAST_SEQUENCES // batch)
        quickest = float("inf")
        for _ in range(RUNS):
            begin = time.perf_counter()
            for _ in range(times):
                session.run(None, inputs)
            quickest = min(quickest, (time.perf_counter() - begin) / (times * batch))
        rows.append({"batch": batch, "us": round(1e6 * quickest, 2)})
    print(json.dumps({"version": onnxruntime.__version__, "rows": rows, "off": off, "equal": off <= TOLERANCE}))


main()
