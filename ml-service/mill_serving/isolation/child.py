"""The process that predicts with one uploaded model: it locks itself in, opens the package it was handed, and answers matrices.

`python -I -m mill_serving.isolation.child KIND PACKAGE MEMORY`, started by `process` alone: the kind of engine, a descriptor of the
package's file, the bytes it may take beyond what it has. It speaks with its parent on standard input, a socket. The package is
mapped, and looked at only after the process has locked itself in; it ends when its parent closes the socket or is gone.
"""

import gc
import importlib
import mmap
import os
import sys
import warnings
from typing import Any

import numpy as np
from mill_kit.confinement.confine import Bounds, confine, die_with_parent
from mill_kit.confinement.frames import FrameCut, receive, send
from mill_kit.problems import Problem
from mill_pack import Engine, FloatArray, engine_of

_PARENT = 0
_TOO_MUCH_MEMORY, _BROKEN, _NOT_CONFINED = 2, 3, 4
_KINDS = ("forest", "linear", "mlp", "xgboost", "lightgbm", "skops")
_LATE = ("numpy.ma", "encodings.ascii", "encodings.latin_1", "encodings.cp437", "encodings.idna")
"""What numpy and Python would import only when they meet certain bytes: a locked process opens no file any more."""


def main(arguments: list[str]) -> int:
    """Serve until the parent closes its end. The status says how it ended."""
    die_with_parent()
    kind, package, memory_bytes = arguments[0], int(arguments[1]), int(arguments[2])
    prepare(kind)
    data = mmap.mmap(package, 0, access=mmap.ACCESS_READ)
    os.close(package)
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # nobody's log is filled by a stranger's numbers
        os.dup2(nothing, descriptor)
    os.close(nothing)
    try:
        confine(Bounds(memory_bytes))
    except OSError:
        return _NOT_CONFINED
    return _answered(data)


def prepare(kind: str) -> None:
    """Load all that an engine of this kind needs. Raises `ValueError` for one that we do not have."""
    if kind not in _KINDS:
        raise ValueError(kind)
    warnings.simplefilter("ignore")
    for late in _LATE:
        importlib.import_module(late)
    importlib.import_module(f"mill_pack.engines.{kind}")
    gc.collect()
    gc.freeze()


def _answered(data: mmap.mmap) -> int:
    try:
        engine, _ = engine_of(data)
        send(_PARENT, {"ready": True, "nbytes": engine.nbytes})
        while True:
            _answer(engine, *receive(_PARENT))
    except Problem as refused:  # of the package itself: the parent shall say why
        send(_PARENT, {"refused": refused.detail[:1000]})
    except MemoryError:
        return _TOO_MUCH_MEMORY
    except (FrameCut, OSError):
        return 0  # the parent has had enough
    except Exception:
        return _BROKEN
    return 0


def _answer(engine: Engine, head: dict[str, Any], body: bytes) -> None:
    matrix = np.frombuffer(body, dtype=np.float64).reshape(head["shape"])
    try:
        found = _computed(engine, str(head["verb"]), matrix)
    except Problem as refused:  # of this question: the next one may have an answer
        send(_PARENT, {"refused": refused.detail[:1000]})
        return
    except OSError as error:
        raise RuntimeError("an engine asked for what is not to be had here") from error
    send(_PARENT, {"shape": found.shape}, np.ascontiguousarray(found, dtype=np.float64).tobytes())


def _computed(engine: Any, verb: str, matrix: FloatArray) -> FloatArray:
    return engine.contributions(matrix) if verb == "contributions" else engine.outputs(matrix)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # nothing is tidied up: arrays still lie on the mapped file
