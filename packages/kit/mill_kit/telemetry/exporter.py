"""The OTLP exporter, and its silence: a collector that is away is one log line, and one when it is back. Used by `otlp`."""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mill_kit.logs import get_logger
from mill_kit.telemetry.settings import TelemetrySettings


class CalmExporter(SpanExporter):
    """Called by the sending thread alone. `lost` counts the spans that were given up."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._away = False
        self._closed = False
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        self.lost += len(spans) if failed else 0
        if failed and not self._away:
            get_logger().warning("traces_not_exported", detail="the collector does not take them; they are dropped")
        elif self._away and not failed:
            get_logger().warning("traces_exported_again", lost=self.lost)
        self._away = failed
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()

    def give_up(self) -> None:
        """End a retry that is waiting."""
        self.shutdown()


def open_exporter(settings: TelemetrySettings) -> CalmExporter:
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells of every retry and every dropped span
    endpoint = f"{settings.endpoint}/v1/traces" if settings.endpoint else None
    return CalmExporter(OTLPSpanExporter(endpoint))
