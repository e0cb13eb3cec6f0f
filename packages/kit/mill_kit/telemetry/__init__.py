"""Optional OpenTelemetry: spans over OTLP. Off unless a service is told otherwise; then nothing of its library is imported.

A service's composition root calls `open_tracer` and hands the tracer down. Trace and span ids are those of `mill_kit.trace`, so
that log lines, the `traceparent` of a job's row and exported spans name the same things.
"""

from mill_kit.telemetry.open import open_tracer
from mill_kit.telemetry.settings import TelemetrySettings
from mill_kit.telemetry.tracer import OFF, Attributes, Kind, Span, Tracer

__all__ = ["OFF", "Attributes", "Kind", "Span", "TelemetrySettings", "Tracer", "open_tracer"]
