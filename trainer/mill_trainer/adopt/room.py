"""What happens inside the sandbox: a file is read into our own arrays (`read`), or a written package is tried (`try`).

Called by `sandbox.server`: `prepare` before any byte from outside is there, `answer` in the locked child.
"""

import importlib
import warnings
from typing import Any

from mill_contracts.adoption import ModelFramework
from mill_kit.problems import Problem
from mill_pack import package_of
from mill_pack.outside import ModelFileRejected, read_outside

from mill_trainer.adopt.warming import examples

_LATE = (
    "numpy.ma",
    "encodings.raw_unicode_escape",
    "encodings.unicode_escape",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.cp437",
)
"""What numpy, pickletools and zipfile would import only when they meet certain bytes."""


def prepare(framework: ModelFramework) -> None:
    """Load everything that reading a model of this framework needs: a locked process opens no file any more."""
    warnings.simplefilter("ignore")
    for late in _LATE:
        importlib.import_module(late)
    for engine in ("forest", "linear", "mlp"):
        importlib.import_module(f"mill_pack.engines.{engine}")
    for data in examples(framework):
        read_outside(data, framework)


def answer(framework: ModelFramework, verb: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The head and body of the answer: what was found, or why it is refused."""
    try:
        if verb == "try":
            package_of(body).replay_golden()
            return {"accepted": True}, b""
        found = read_outside(body, framework)
    except Problem as problem:
        return {"refused": {"slug": problem.slug, "detail": problem.detail[:1000]}}, b""
    except MemoryError:
        raise
    except Exception as error:  # a reader met what its author did not think of: no reason to take the file
        detail = f"Reading the file failed: {type(error).__name__}: {str(error)[:300]}"
        return {"refused": {"slug": ModelFileRejected.slug, "detail": detail}}, b""
    ((name, content),) = found.payload.files.items()
    return {"found": found.model.model_dump(mode="json"), "file": name}, content
