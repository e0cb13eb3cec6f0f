"""Decides once, when a service is put together, whether it follows its work. Called by the composition roots."""

import os

from mill_kit.telemetry.settings import TelemetrySettings
from mill_kit.telemetry.tracer import OFF, Tracer


def open_tracer(
    settings: TelemetrySettings, service: str, version: str, instance: str, *, decides: bool = False
) -> Tracer:
    """`decides`: this service is the first of ours, so it also samples what its caller did not.

    Others take the decision they are told. `OTEL_SDK_DISABLED=true` wins, as the standard asks.
    """
    if not settings.enabled or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return OFF
    from mill_kit.telemetry.otlp import OtlpTracer  # not before it is wanted: the library costs memory and start time

    return OtlpTracer.open(settings, service, version, instance, decides=decides)
