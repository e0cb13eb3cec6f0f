"""What a service asks of telemetry, and what it gets where telemetry is off: the ids for its log lines, and nothing else."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from types import TracebackType
from typing import Protocol

from mill_kit import trace

Attributes = Mapping[str, str | int | float | bool]
NONE: Attributes = {}


class Kind(Enum):
    """The standard's kinds of spans."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """Work that is being followed. It ends with the block that began it."""

    @property
    def recording(self) -> bool:
        """Whether anybody will see what is noted; ask before computing something for it."""
        ...

    @property
    def header(self) -> str | None:
        """`traceparent` for whoever works below this span."""
        ...

    def rename(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, reason: str) -> None:
        """A short reason of few possible values; never a message, which may hold what a user sent."""
        ...


class Tracer(Protocol):
    """One per process, made by `open_tracer`."""

    def entry(
        self, name: str, told: str | None, kind: Kind, attributes: Attributes = NONE
    ) -> AbstractContextManager[Span]:
        """Work that another process asked for, below the span that `told` (a `traceparent`) names. The block logs its ids."""
        ...

    def step(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NONE, *, service: str | None = None
    ) -> AbstractContextManager[Span]:
        """A part of the current work; nothing where there is none. `service`: done by a part that cannot speak for itself."""
        ...

    def close(self) -> None:
        """Send what waits, within seconds. Blocks."""
        ...


class _Nothing:
    """The span of a tracer that is off; a block of its own, so that a step costs a call and no memory."""

    recording = False

    @property
    def header(self) -> str | None:
        return trace.current_header()

    def rename(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, reason: str) -> None: ...

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...


NOTHING = _Nothing()


class _Off:
    """Keeps trace and span ids for logs and `traceparent`."""

    @contextmanager
    def entry(self, name: str, told: str | None, kind: Kind, attributes: Attributes = NONE) -> Generator[Span]:  # noqa: ARG002 - the protocol's signature
        with trace.working_in(trace.begin(told)):
            yield NOTHING

    def step(
        self,
        name: str,  # noqa: ARG002 - the protocol's signature, here and below
        kind: Kind = Kind.INTERNAL,  # noqa: ARG002
        attributes: Attributes = NONE,  # noqa: ARG002
        *,
        service: str | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        return NOTHING

    def close(self) -> None: ...


OFF: Tracer = _Off()
