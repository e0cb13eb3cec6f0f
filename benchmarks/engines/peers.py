"""The engines that are compared: ours, the library on an ndarray, LightGBM's single-row-fast, ONNX Runtime."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
# LightGBM's C API has no typed face.

import ctypes
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from mill_forest import Predictor

from benchmarks.engines.measure import Engine, Floats
from benchmarks.engines.models import Model

CHILD = Path(__file__).with_name("onnx_child.py")
ONNX_PACKAGES = ("onnxruntime", "onnxmltools", "skl2onnx", "skops")
LIBRARY_SHARE = 0.05


def ours(model: Model) -> Engine:
    predictor = Predictor(model.forest)
    return Engine("mill_forest", predictor.predict_one, predictor.predict)


def library(model: Model) -> Engine:
    """Its own predict_proba; a twentieth of the largest block, since its time goes with the rows."""
    slow = model.library == "scikit-learn"
    return Engine(
        model.library,
        lambda row: model.predict(row.reshape(1, -1), 1),
        model.predict,
        share=LIBRARY_SHARE,
        calls=30 if slow else 300,
    )


def single_row_fast(model: Model) -> Engine:
    """LGBM_BoosterPredictForMatSingleRowFast through ctypes, arguments made beforehand."""
    booster: Any = model.estimator
    c: Any = lightgbm.basic._LIB
    configuration = ctypes.c_void_p()
    failed = c.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, model.forest.n_features, b"num_threads=1", ctypes.byref(configuration)
    )
    assert not failed
    length, answer = ctypes.c_int64(), np.empty(1)
    length_at, answer_at = ctypes.byref(length), ctypes.c_void_p(answer.ctypes.data)
    call = c.LGBM_BoosterPredictForMatSingleRowFast

    def row(values: Floats) -> Floats:
        call(configuration, ctypes.c_void_p(values.ctypes.data), length_at, answer_at)
        return answer

    return Engine("LightGBM single-row-fast", row, None)


def same_answers(model: Model, rows: Floats) -> int:
    """How many of our values differ from the library's in any bit."""
    theirs = model.predict(rows, 1)
    mine = Predictor(model.forest).predict(rows)
    mine = mine if theirs.ndim == 2 else mine[:, 1]
    return int(np.count_nonzero(mine != theirs.astype(np.float64)))


def onnx_python(folder: Path, say: Callable[[str], None]) -> Path:
    """The Python of an environment of the benchmark's own with ONNX Runtime and the converters."""
    python = folder / "onnx" / "bin" / "python"
    if not (folder / "onnx" / "ready").exists():
        say("making an environment for ONNX Runtime")
        import sklearn
        import xgboost

        pins = (
            f"lightgbm=={lightgbm.__version__}",
            f"xgboost-cpu=={xgboost.__version__}",
            f"scikit-learn=={sklearn.__version__}",
        )
        subprocess.run(["uv", "venv", "--quiet", "--clear", str(folder / "onnx")], check=True)  # noqa: S607
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, *ONNX_PACKAGES, *pins], check=True)
        (folder / "onnx" / "ready").touch()
    return python


def onnx_round(python: Path, model: Model, table: Path, rows: Mapping[str, int]) -> dict[str, float]:
    """One round of ONNX Runtime, in a process of its own; {} where the model cannot be converted."""
    task = {"model": str(model.file), "library": model.library, "table": str(table), **rows}
    done = subprocess.run(
        [str(python), str(CHILD)], input=json.dumps(task), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"ONNX Runtime on {model.name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
