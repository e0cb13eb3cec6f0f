"""The pipe between trainer and worker: one JSON object per line. The last line of a good run is an `Outcome`.

A child that ends without an `Outcome` has crashed; its exit status is the reason.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from mill_contracts.base import Contract
from mill_contracts.problems import ProblemDocument


class Stage(Contract):
    """The child begins a stage. Stages are words for people: `reading`, `encoding`, `fitting`."""

    kind: Literal["stage"] = "stage"
    stage: str


class Progress(Contract):
    """True progress of the whole task, 0 to 1; never made up by a timer. `done`/`total` count `unit` (rounds, trees, rows)."""

    kind: Literal["progress"] = "progress"
    fraction: float = Field(ge=0.0, le=1.0)
    done: int | None = None
    total: int | None = None
    unit: str | None = None


class LogLine(Contract):
    kind: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str


class Succeeded(Contract):
    """Done: `files` name what lies in `out_dir`."""

    kind: Literal["succeeded"] = "succeeded"
    files: tuple[str, ...]


class Refused(Contract):
    """The input cannot be worked with; trying again gives the same answer."""

    kind: Literal["refused"] = "refused"
    problem: ProblemDocument


Outcome = Succeeded | Refused
Message = Annotated[Stage | Progress | LogLine | Succeeded | Refused, Field(discriminator="kind")]
messages: TypeAdapter[Message] = TypeAdapter(Message)
