"""What the clients saw, written by the clients: one line before each operation, one after it. Read by the checker.

A client that gets no answer does not know what became of its operation: that is `unknown`, never `fail`.
"""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Operation:
    """`what` is the kind (upload, train, cancel, see), `value` what was asked, `answer` what the service said to it."""

    id: int
    client: str
    what: str
    value: Mapping[str, Any]
    outcome: Outcome = Outcome.UNKNOWN
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ClientLog:
    """Appends to one file; shared by the threads of one run. Every line is flushed before the next step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._next = 0

    def invoke(self, client: str, what: str, value: Mapping[str, Any]) -> int:
        with self._lock:
            self._next += 1
            self._write({"id": self._next, "client": client, "type": "invoke", "what": what, "value": dict(value)})
            return self._next

    def done(self, operation: int, outcome: Outcome, answer: Mapping[str, Any] | None = None) -> None:
        with self._lock:
            self._write({"id": operation, "type": outcome.value, "answer": dict(answer or {})})

    def fault(self, what: str) -> None:
        """The nemesis writes into the same file, so that one reads what happened in its order."""
        with self._lock:
            self._write({"type": "fault", "what": what})

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"at": round(time.time(), 3), **line}, ensure_ascii=False) + "\n")
        self._file.flush()


def read_history(path: Path) -> list[Operation]:
    """Every operation that was invoked; without a second line its outcome is unknown."""
    return history(json.loads(line) for line in path.read_text("utf-8").splitlines())


def history(lines: Iterable[Mapping[str, Any]]) -> list[Operation]:
    invoked: dict[int, Operation] = {}
    for line in lines:
        if line["type"] == "invoke":
            invoked[line["id"]] = Operation(line["id"], line["client"], line["what"], line["value"])
        elif line["type"] != "fault":
            known = invoked[line["id"]]
            outcome, answer = Outcome(line["type"]), line.get("answer", {})
            invoked[known.id] = Operation(known.id, known.client, known.what, known.value, outcome, answer)
    return list(invoked.values())
