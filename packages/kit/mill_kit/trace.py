"""W3C trace context (level 1): which trace a request or job belongs to, from nginx to the trainer. No library needed.

Every service makes a span of its own below the one it was told of, and logs `trace_id` and `span_id`.
"""

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import structlog

HEADER = "traceparent"
ENVIRONMENT = "TRACEPARENT"
STATE = "tracestate"
_LOG_ALONE = "mill=log"
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1


@dataclass(frozen=True)
class TraceContext:
    """A span: `parent` is the span it is below, None for the first of its trace."""

    trace_id: str
    span_id: str
    sampled: bool = False
    parent: str | None = None

    @property
    def header(self) -> str:
        """The value of `traceparent` for whoever is called next."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def child(self) -> "TraceContext":
        return TraceContext(self.trace_id, secrets.token_hex(8), self.sampled, self.span_id)


def parse(value: str | None) -> TraceContext | None:
    """The caller's span; None where the header is missing or malformed, as the standard asks."""
    found = _FORM.fullmatch(value) if value and len(value) <= 512 else None
    if found is None or ((value or "").startswith("00-") and found[4]):
        return None
    trace_id, span_id = found[1], found[2]
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, bool(int(found[3], 16) & _SAMPLED))


def begin(value: str | None) -> TraceContext:
    """Our span for work whose caller sent `value`: below the caller's, or the first of a new trace."""
    caller = parse(value)
    return caller.child() if caller else TraceContext(secrets.token_hex(16), secrets.token_hex(8))


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current() -> TraceContext | None:
    return _current.get()


def current_header() -> str | None:
    """`traceparent` for whoever is called next, or for the row of a job; None outside any work."""
    here = _current.get()
    return here.header if here else None


def logged(header: str | None) -> dict[str, str]:
    """Headers for a service that leaves lines for sampled calls alone: marked where the trace itself is not to be exported."""
    here = parse(header)
    if here is None:
        return {}
    told = {HEADER: replace(here, sampled=True).header}
    return told if here.sampled else {**told, STATE: _LOG_ALONE}


def is_logged_alone(state: str) -> bool:
    """Whether the caller's `tracestate` says so."""
    return _LOG_ALONE in (member.strip() for member in state.split(","))


@contextmanager
def working_in(here: TraceContext) -> Generator[TraceContext]:
    """Everything in the block logs the ids of `here`."""
    token = _current.set(here)
    with structlog.contextvars.bound_contextvars(trace_id=here.trace_id, span_id=here.span_id):
        try:
            yield here
        finally:
            _current.reset(token)
