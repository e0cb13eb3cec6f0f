"""The `telemetry` group of every service's settings."""

from pydantic import BaseModel, ConfigDict, field_validator


class TelemetrySettings(BaseModel):
    """Spans to an OpenTelemetry collector, by OTLP over HTTP. `endpoint` is its base, `http://collector:4318`.

    Everything else is said by the standard's own variables (`OTEL_EXPORTER_OTLP_…`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`,
    `OTEL_RESOURCE_ATTRIBUTES`); `endpoint` wins over theirs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    enabled: bool = False
    endpoint: str | None = None

    @field_validator("endpoint")
    @classmethod
    def a_base(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("a URL is needed: http://collector:4318")
        return value.rstrip("/")
