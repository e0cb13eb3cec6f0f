"""The tracer that exports, by OpenTelemetry's own SDK. Imported by `open_tracer` alone, and only where telemetry is on.

A span that ends is put into a bounded queue; a thread sends batches. Nothing here waits for a collector, and what does not fit is
dropped.
"""

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from mill_kit import trace
from mill_kit.telemetry.exporter import CalmExporter, open_exporter
from mill_kit.telemetry.sampling import sampler
from mill_kit.telemetry.settings import TelemetrySettings
from mill_kit.telemetry.tracer import NONE, NOTHING, Attributes, Kind, Span

_SCOPE = "modelmill"
_CLOSE_SECONDS = 3.0


@dataclass(frozen=True)
class _OtlpSpan:
    """A span of the SDK's and its ids in our words."""

    span: api.Span
    context: trace.TraceContext

    @property
    def recording(self) -> bool:
        return self.span.is_recording()

    @property
    def header(self) -> str | None:
        return self.context.header

    def rename(self, name: str) -> None:
        self.span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self.span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self.span.set_attribute("error.type", reason)
        self.span.set_status(Status(StatusCode.ERROR))


@dataclass(frozen=True)
class _Processes:
    """The SDK's tracers, one for each part that this process speaks for, on one queue to one exporter."""

    settings: TelemetrySettings
    attributes: Mapping[str, str]
    decides: bool
    queue: BatchSpanProcessor
    known: dict[str, api.Tracer] = field(default_factory=dict[str, api.Tracer])

    def tracer(self, service: str) -> api.Tracer:
        if service not in self.known:
            self.known[service] = self._open(service)
        return self.known[service]

    def _open(self, service: str) -> api.Tracer:
        own = Resource({**self.attributes, SERVICE_NAME: service})
        said = OTELResourceDetector().detect()
        resource = Resource.create().merge(own).merge(said)
        if service != self.attributes[SERVICE_NAME]:
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        provider = TracerProvider(sampler(decides=self.decides), resource, shutdown_on_exit=False)
        provider.add_span_processor(self.queue)
        return provider.get_tracer(_SCOPE, self.attributes[SERVICE_VERSION])


@dataclass(frozen=True)
class OtlpTracer:
    """A `Tracer`."""

    service: str
    processes: _Processes
    exporter: CalmExporter

    @classmethod
    def open(
        cls, settings: TelemetrySettings, service: str, version: str, instance: str, *, decides: bool
    ) -> "OtlpTracer":
        exporter = open_exporter(settings)
        attributes = {
            SERVICE_NAME: service,
            SERVICE_VERSION: version,
            SERVICE_INSTANCE_ID: f"{instance}/{os.getpid()}",
            "service.namespace": "modelmill",
        }
        return cls(service, _Processes(settings, attributes, decides, BatchSpanProcessor(exporter)), exporter)

    @contextmanager
    def entry(self, name: str, told: str | None, kind: Kind, attributes: Attributes = NONE) -> Generator[Span]:
        with (
            self._span(name, trace.parse(told), kind, attributes, self.service, remote=True) as span,
            trace.working_in(span.context),
        ):
            yield span

    @contextmanager
    def step(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NONE, *, service: str | None = None
    ) -> Generator[Span]:
        here = trace.current()
        if here is None:
            yield NOTHING
            return
        with self._span(name, here, kind, attributes, service or self.service, remote=False) as span:
            yield span

    def close(self) -> None:
        """A collector that answers slowly is not waited for: the thread is a daemon."""
        ending = threading.Thread(target=self.processes.queue.shutdown, daemon=True)
        ending.start()
        ending.join(_CLOSE_SECONDS)
        if ending.is_alive():
            self.exporter.give_up()

    @contextmanager
    def _span(
        self,
        name: str,
        parent: trace.TraceContext | None,
        kind: Kind,
        attributes: Attributes,
        service: str,
        *,
        remote: bool,
    ) -> Generator[_OtlpSpan]:
        below = _context(parent, remote=remote) if parent else Context()
        span = self.processes.tracer(service).start_span(name, below, SpanKind[kind.value], attributes)
        ids = span.get_span_context()
        here = trace.TraceContext(
            api.format_trace_id(ids.trace_id),
            api.format_span_id(ids.span_id),
            ids.trace_flags.sampled,
            parent.span_id if parent else None,
        )
        mine = _OtlpSpan(span, here)
        try:
            yield mine
        except Exception as error:
            mine.fail(type(error).__name__)
            raise
        finally:
            span.end()


def _context(parent: trace.TraceContext, *, remote: bool) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    above = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), remote, flags)
    return api.set_span_in_context(NonRecordingSpan(above), Context())
