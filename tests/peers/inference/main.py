"""The network in ONNX Runtime, on the artifact and the questions that our own measurement has left in a folder.

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
from safetensors.numpy import load_file

# Of what both answer: sums of some hundred products are made in another order.
TOLERANCE = 1e-4
# Runs, of which the quickest counts; less time than that at once would measure the clock.
RUNS, LEAST_SEQUENCES = 30, 512
BATCHES = (1, 64, 512)


def numbers(folder, name, *shape):
    return np.fromfile(folder / f"{name}.f32", dtype="<f4").reshape(shape)


def layers(folder):
    """Matrices, inputs by outputs, and biases: of the gates over inputs and over the state, in ONNX's order; then the head's."""
    tensors = load_file(folder / "model.safetensors")
    layer = lambda name: (tensors[f"{name}.weight"], tensors[f"{name}.bias"])
    gates = lambda over: [layer(f"lstm.{gate}_gate.{over}_transform") for gate in ("input", "output", "forget", "cell")]
    return gates("input"), gates("hidden"), layer("wide"), layer("narrow")


def network(folder, shape):
    of_inputs, of_hidden, wide, narrow = layers(folder)
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
    shape = json.loads((folder / "measured.json").read_text())
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
