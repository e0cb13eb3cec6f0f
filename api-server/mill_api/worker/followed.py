"""What a trace shows of the trainer's child, which has no network to speak for itself. Called by `worker.attempt`.

The child is a span of the service `trainer`, each stage that it reports a span below; the child is told the first one's id.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from mill_contracts.wire import LogLine, Progress, Stage
from mill_kit import trace
from mill_kit.telemetry import Span, Tracer

from mill_api.worker.child.process import Ending

TRAINER = "trainer"


class Stages:
    """One span at a time; the next stage ends the one before it."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._current = ExitStack()
        self.span = span

    def hear(self, message: Stage | Progress | LogLine) -> None:
        if isinstance(message, Stage):
            self.end()
            self._current.enter_context(self._tracer.step(message.stage, service=TRAINER))

    def end(self) -> None:
        self._current.close()

    def ended(self, ending: Ending) -> None:
        """A crash is said by its signal or status, never by what the child wrote."""
        if ending.timed_out or ending.memory_exceeded:
            self.span.fail("timeout" if ending.timed_out else "memory")
        elif ending.outcome is None or ending.returncode != 0:
            self.span.fail(ending.reason)


@contextmanager
def following(tracer: Tracer, verb: str) -> Generator[Stages]:
    """Everything in the block, the child's lines in our log too, belongs to the child's span."""
    with tracer.step(f"{TRAINER} {verb}", service=TRAINER) as span, ExitStack() as stack:
        if (here := trace.parse(span.header)) is not None:
            stack.enter_context(trace.working_in(here))
        stages = Stages(tracer, span)
        stack.callback(stages.end)
        yield stages
