"""Settings of the data plane, read once from `MILL_…` variables by the entry point and passed down."""

import socket
from pathlib import Path
from typing import Literal

from mill_kit.gcra import Rate
from mill_kit.http.addresses import TrustedProxies
from mill_kit.http.cors import origins_of
from mill_kit.telemetry import TelemetrySettings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mill_serving.limits import Rates


class _Concern(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class StoreSettings(_Concern):
    """`file:///folder` or `s3://host:port/bucket`; without a URL only packages already on disk and shared models are served."""

    url: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    poll_seconds: float = Field(default=3.0, gt=0)


class CacheSettings(_Concern):
    """Redis, for announcements of snapshots and for this replica's reports. Nothing breaks without it; changes take longer.

    Slow models' answers are kept there for `answer_seconds`, for all workers and replicas; 0 keeps none.
    """

    url: SecretStr | None = None
    answer_seconds: int = Field(default=3600, ge=0, le=604_800)
    report_seconds: float = Field(default=1.0, gt=0)
    report_ttl_seconds: int = Field(default=10, ge=2)


class KeyFile(_Concern):
    """The control plane's public key (PEM, Ed25519): of access tokens, or of snapshots."""

    public_key_file: Path | None = None


class JournalSettings(_Concern):
    """One of `one_in` predictions is noted in Redis, 0 for none; each workspace keeps its newest `kept`.

    Each can be looked up for `record_seconds`. `profiling` lets those who may deploy ask for a profile of a request (`X-Profile`).
    """

    one_in: int = Field(default=0, ge=0)
    kept: int = Field(default=1000, ge=1, le=100_000)
    record_seconds: int = Field(default=3600, ge=1, le=604_800)
    profiling: bool = False


class ServingSettings(_Concern):
    """`cache_bytes` is for the whole host: with several `workers` each may load an equal share of it.

    A stopping replica says unready for `drain_seconds` and goes on answering, takes no new connections for at most
    `linger_seconds` while those it has end, and has `stop_seconds` for what is still running.
    At most `open_requests` are answered at once, and `waiting_calls` (`…_per_model`) wait for a package to be loaded.
    Rows that take less than `inline_microseconds` are predicted on the event loop, and so are blocks that are expected to take less
    than `inline_block_microseconds` while no rows come.
    `grpc_port` opens the Open Inference Protocol's gRPC door at `grpc_host`.

    `isolate_uploaded` lets models that were trained elsewhere predict in processes of their own: at most `isolated_processes` on this
    host, each with `isolated_memory_bytes` beyond its code and its model and `isolated_seconds` for each answer; one that nobody asks
    ends after `isolated_idle_seconds`. A version that crashes `isolated_crashes` times within `isolated_window_seconds` is suspended.
    """

    cache_dir: Path = Path(".modelmill/serving")
    cache_bytes: int = Field(default=2 * 2**30, ge=2**20)
    shared_models_dir: Path | None = None
    default_model: str | None = None
    snapshot_max_age_hours: float = Field(default=24.0, gt=0)
    replica: str = Field(default_factory=socket.gethostname, min_length=1, max_length=128)
    address: str = ""
    grpc_host: str = "127.0.0.1"
    grpc_port: int | None = Field(default=None, ge=1, le=65535)
    inline_microseconds: float = Field(default=100.0, ge=0)
    inline_block_microseconds: float = Field(default=1000.0, ge=0)
    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=2, ge=1, le=64)
    open_requests: int = Field(default=5000, ge=1)
    waiting_calls: int = Field(default=2000, ge=1)
    waiting_calls_per_model: int = Field(default=1000, ge=1)
    waiting_blocks: int = Field(default=128, ge=0)
    longest_wait_seconds: float = Field(default=30.0, gt=0)
    waiting_blocks_per_model: int = Field(default=64, ge=0)
    max_body_bytes: int = Field(default=16 * 2**20, ge=1024)
    max_batch_rows: int = Field(default=10_000, ge=1)
    cached_predictions: int = Field(default=50_000, ge=0)
    retry_seconds: float = Field(default=2.0, gt=0)
    drain_seconds: float = Field(default=1.0, ge=0)
    linger_seconds: float = Field(default=3.0, ge=0)
    stop_seconds: int = Field(default=25, ge=1)
    isolate_uploaded: bool = True
    isolated_processes: int = Field(default=8, ge=1)
    isolated_memory_bytes: int = Field(default=512 * 2**20, ge=2**26)
    isolated_seconds: float = Field(default=10.0, gt=0)
    isolated_idle_seconds: float = Field(default=300.0, gt=0)
    isolated_crashes: int = Field(default=3, ge=1)
    isolated_window_seconds: float = Field(default=600.0, gt=0)


class ConnectionSettings(_Concern):
    """What one connection may make the service hold: a head of so many bytes and `headers`, and for how long.

    A head has `head_seconds` to come, a body may pause for `pause_seconds` and has `body_seconds`, a connection that asks nothing is
    closed after `idle_seconds` (more than the proxy before it keeps one).
    """

    head_bytes: int = Field(default=64 * 2**10, ge=4096)
    headers: int = Field(default=100, ge=10)
    head_seconds: float = Field(default=15, gt=0)
    pause_seconds: float = Field(default=15, gt=0)
    body_seconds: float = Field(default=120, gt=0)
    idle_seconds: int = Field(default=75, ge=1)


class RateSettings(_Concern):
    """How often one may ask for predictions, each second and at once; 0 a second is no limit, which is the default.

    For an API key or user, for a whole workspace, and for an address without a valid key. Counted in each worker, settled with
    Redis every `settle_seconds`; of callers and of addresses the `entries` that came last are remembered.
    """

    per_second: float = Field(default=0, ge=0)
    burst: int = Field(default=1000, ge=1)
    workspace_per_second: float = Field(default=0, ge=0)
    workspace_burst: int = Field(default=1000, ge=1)
    address_per_second: float = Field(default=0, ge=0)
    address_burst: int = Field(default=100, ge=1)
    settle_seconds: float = Field(default=0.25, gt=0, le=10)
    entries: int = Field(default=10_000, ge=100)

    def rates(self) -> Rates:
        return Rates(
            caller=_rate(self.per_second, self.burst),
            workspace=_rate(self.workspace_per_second, self.workspace_burst),
            address=_rate(self.address_per_second, self.address_burst),
        )


def _rate(per_second: float, burst: int) -> Rate | None:
    return Rate(60 * per_second, burst) if per_second else None


class CorsSettings(_Concern):
    """`origins`, separated by commas, are the web pages that may call this server from a browser."""

    origins: str = ""

    @field_validator("origins")
    @classmethod
    def check(cls, value: str) -> str:
        origins_of(value)
        return value


class Settings(BaseSettings):
    """Everything the data plane is told. There is no secret with a default; without keys no snapshot and no token is believed.

    `trusted_proxies` are the addresses or networks (comma separated) whose `X-Forwarded-For` is believed: nginx's, or none.
    """

    model_config = SettingsConfigDict(
        env_prefix="MILL_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    environment: Literal["production", "development", "test"] = "production"
    log_level: str = "INFO"
    store: StoreSettings = StoreSettings()
    cache: CacheSettings = CacheSettings()
    tokens: KeyFile = KeyFile()
    publish: KeyFile = KeyFile()
    serving: ServingSettings = ServingSettings()
    journal: JournalSettings = JournalSettings()
    cors: CorsSettings = CorsSettings()
    connections: ConnectionSettings = ConnectionSettings()
    rates: RateSettings = RateSettings()
    trusted_proxies: str = ""

    @field_validator("trusted_proxies")
    @classmethod
    def check(cls, value: str) -> str:
        TrustedProxies.named(value)
        return value

    telemetry: TelemetrySettings = TelemetrySettings()
