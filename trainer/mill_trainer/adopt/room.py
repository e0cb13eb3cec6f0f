"""What happens inside the sandbox: a file is read into our own arrays (`read`), or a written package is tried (`try`).

Called by `sandbox.server`: `prepare` before any byte from outside is there, `answer` in the locked child.
"""

import warnings
from typing import Any

from mill_contracts.adoption import ModelFramework
from mill_kit.problems import Problem
from mill_pack import package_of
from mill_pack.outside import read_outside

from mill_trainer.adopt.warming import example


def prepare(framework: ModelFramework) -> None:
    """Load everything that reading a model of this framework needs: a locked process opens no file any more."""
    warnings.simplefilter("ignore")
    data = example(framework)
    if data is not None:
        read_outside(data, framework)


def answer(framework: ModelFramework, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The head and body of the answer: what was found, or why it is refused."""
    try:
        if head["verb"] == "try":
            package_of(body).replay_golden()
            return {"accepted": True}, b""
        found = read_outside(body, framework)
    except Problem as problem:
        return {"refused": {"slug": problem.slug, "detail": problem.detail[:1000]}}, b""
    ((name, content),) = found.payload.files.items()
    return {"found": found.model.model_dump(mode="json"), "file": name}, content
