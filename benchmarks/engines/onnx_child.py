"""Measures ONNX Runtime on one model; `peers.py` starts it with the Python of its own environment.

A task as JSON on standard input, the figures as JSON on the last line of standard output.
"""

# pyright: basic, reportMissingImports=false, reportArgumentType=false, reportAttributeAccessIssue=false
# runs where the converters are installed, which the workspace does not have

import json
import sys
import time

import numpy as np


def convert(task):
    """The model as ONNX bytes, probabilities as a matrix."""
    if task["library"] == "XGBoost":
        import xgboost
        from onnxmltools.convert import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        model = xgboost.XGBClassifier()
        model.load_model(task["model"])
        return convert_xgboost(model, initial_types=[("x", FloatTensorType([None, model.n_features_in_]))])
    if task["library"] == "LightGBM":
        import lightgbm
        from onnxmltools.convert import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        model = lightgbm.Booster(model_file=task["model"])
        return convert_lightgbm(
            model, initial_types=[("x", FloatTensorType([None, model.num_feature()]))], zipmap=False
        )
    import skops.io
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = skops.io.load(task["model"], trusted=["sklearn.tree._tree.Tree"])  # written by models.py
    shape = FloatTensorType([None, model.n_features_in_])
    return to_onnx(model, initial_types=[("x", shape)], options={"zipmap": False})


def session(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def measured(clock, runs, table, rounds):
    found = []
    for _ in range(rounds):
        begun = clock()
        runs(table)
        found.append(clock() - begun)
    return float(np.median(found))


def main():
    task = json.load(sys.stdin)
    table = np.load(task["table"]).astype(np.float32)
    model = convert(task).SerializeToString()
    one, two = session(model, 1), session(model, 2)
    rows = [table[i : i + 1] for i in range(1_000)]

    def single(_):
        for row in rows:
            one.run(None, {"x": row})

    def block(of):
        return lambda rows: of.run(None, {"x": rows})

    rounds, scale = task["rounds"], task["large"] / len(table)
    single(None)
    figures = {
        "row_us": measured(time.process_time, single, None, rounds) / len(rows) * 1e6,
        "middle_ms": measured(time.process_time, block(one), table[: task["middle"]], rounds) * 1e3,
        "large_s": measured(time.process_time, block(one), table, rounds) * scale,
        "large_two_s": measured(time.perf_counter, block(two), table, rounds) * scale,
    }
    print(json.dumps(figures))


main()
