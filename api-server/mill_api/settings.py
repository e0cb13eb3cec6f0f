"""The settings of the control plane, read once from `MILL_…` variables and passed down. Secrets have no default.

Nested by concern: `MILL_DATABASE__URL`, `MILL_TOKENS__PRIVATE_KEY_FILE`. A weak secret refuses to start in production.
"""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from mill_contracts.tokens import LONGEST_SECONDS
from mill_kit.http.cors import origins_of
from mill_kit.telemetry import TelemetrySettings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SHORTEST_SECRET = 12
_WEAK = ("password", "changeme", "change-me", "minioadmin", "postgres", "modelmill", "secret", "example", "12345")
_WEAK_SECRET = (
    f"missing, well known or shorter than {_SHORTEST_SECRET} characters; generate a random one (`openssl rand -hex 24`)"
)


class Environment(StrEnum):
    PRODUCTION = "production"
    DEVELOPMENT = "development"
    TEST = "test"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """`url` logs in as mill_app, `system_url` as mill_system, `owner_url` as mill_owner (migrations alone).

    An api-server opens at most `pool_size` connections as the first and `system_pool_size` as the second; a request that gets
    none within `pool_wait_seconds` is told to come back. Workers open as many as they need for their concurrency.
    """

    url: SecretStr
    system_url: SecretStr
    owner_url: SecretStr | None = None
    pool_size: int = Field(default=16, ge=1, le=100)
    system_pool_size: int = Field(default=4, ge=2, le=100)
    pool_wait_seconds: float = Field(default=5, gt=0, le=60)


class RedisSettings(_Section):
    """A Redis or Valkey: `redis://:password@host:port/0`."""

    url: SecretStr


class StoreSettings(_Section):
    """`file:///absolute/folder` or `s3://host:port/bucket?secure=false` with its two keys."""

    url: str
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None


class TokenSettings(_Section):
    """Who is signed in, and for how long. The grace spares a client that sent one refresh token twice at once."""

    private_key_file: Path
    access_seconds: int = Field(default=LONGEST_SECONDS, ge=5, le=LONGEST_SECONDS)
    refresh_days: int = Field(default=30, ge=1, le=365)
    refresh_grace_seconds: float = Field(default=10, ge=0, le=60)
    attempts_per_minute: int = Field(default=10, ge=1, le=1000)


class AccessSettings(_Section):
    """Who may come in. `registration` is `invited` (an invitation's code is needed) or `open` (anybody who reaches the server).

    The first administrator is made from `admin_email` and `admin_password` when nobody is registered; without them a server
    that takes no registrations prints a one-time code at its first start.
    """

    registration: Literal["invited", "open"] = "invited"
    admin_email: str | None = None
    admin_password: SecretStr | None = None
    setup_code_hours: float = Field(default=24, gt=0, le=168)

    @field_validator("admin_email", "admin_password", mode="before")
    @classmethod
    def nothing(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def both_or_none(self) -> Self:
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("set MILL_ACCESS__ADMIN_EMAIL and MILL_ACCESS__ADMIN_PASSWORD, or neither")
        return self


class PublishSettings(_Section):
    """The key that signs snapshots for ml-service, and how often to look for something untold."""

    private_key_file: Path
    every_seconds: float = Field(default=2, gt=0)


class ServingSettings(_Section):
    """Where `/api/v1/predictions` forwards to."""

    url: str
    timeout_seconds: float = Field(default=30, gt=0)


class WorkerSettings(_Section):
    """How a worker claims and keeps jobs. Times are seconds."""

    scratch_dir: Path = Path("scratch")
    queues: str = "ml,data,general"
    concurrency: int = Field(default=1, ge=1, le=64)
    lease_seconds: float = Field(default=30, gt=0)
    heartbeat_seconds: float = Field(default=10, gt=0)
    sweep_seconds: float = Field(default=15, gt=0)
    retry_seconds: float = Field(default=2, ge=0)
    shutdown_seconds: float = Field(default=8, gt=0)
    silence_seconds: float = Field(default=120, gt=0)
    keep_events_days: float = Field(default=30, gt=0)


class HousekeepingSettings(_Section):
    """How often deleted objects are swept away, and how old one that no row names must be to go too.

    The youngest age is longer than a finished attempt waits for a store and a database that are away. Answers to an
    Idempotency-Key are kept for `answers_hours`; of the history of predictions each workspace keeps its newest
    `predictions_kept` that are younger than `predictions_days`.
    """

    every_seconds: float = Field(default=600, gt=0)
    orphan_hours: float = Field(default=24, ge=3)
    answers_hours: float = Field(default=24, gt=0)
    predictions_days: float = Field(default=90, gt=0)
    predictions_kept: int = Field(default=100_000, ge=1)


class LimitSettings(_Section):
    """How often one may ask: an address that is not signed in, a user, an API key; and all of a workspace together.

    Predictions through this server have limits of their own. Counted in the cache; while it is away, in this process, for the
    `local_entries` callers seen last.
    """

    enabled: bool = True
    per_minute: float = Field(default=60, gt=0)
    burst: int = Field(default=100, ge=1)
    workspace_per_minute: float = Field(default=600, gt=0)
    workspace_burst: int = Field(default=1000, ge=1)
    predictions_per_minute: float = Field(default=6000, gt=0)
    predictions_burst: int = Field(default=1000, ge=1)
    workspace_predictions_per_minute: float = Field(default=60_000, gt=0)
    workspace_predictions_burst: int = Field(default=10_000, ge=1)
    local_entries: int = Field(default=10_000, ge=100)


class CorsSettings(_Section):
    """`origins`, separated by commas, are the web pages that may call this server from a browser: `https://console.example.com`."""

    origins: str = ""

    @field_validator("origins")
    @classmethod
    def check(cls, value: str) -> str:
        origins_of(value)
        return value


class KindLimits(_Section):
    """What one job of a kind may use: seconds of wall clock, bytes of memory with all its processes, threads."""

    timeout_seconds: float = Field(default=2 * 3600, gt=0)
    memory_bytes: int = Field(default=4 * 2**30, ge=2**26)
    threads: int = Field(default=2, ge=1, le=256)


class JobSettings(_Section):
    """Limits by kind of job: `MILL_JOBS__TRAIN__MEMORY_BYTES` and so on. Workers read them."""

    profile: KindLimits = KindLimits()
    train: KindLimits = KindLimits(timeout_seconds=12 * 3600, memory_bytes=8 * 2**30)
    score: KindLimits = KindLimits(timeout_seconds=6 * 3600)
    adopt: KindLimits = KindLimits(timeout_seconds=1800, memory_bytes=6 * 2**30)


class QuotaSettings(_Section):
    """What a workspace may have, unless `python -m mill_api quota` says otherwise for it: bytes of datasets, models and
    results, jobs that run at once, models, predictions a day (UTC). 0 is no limit."""

    bytes: int = Field(default=100 * 2**30, ge=0)
    running_jobs: int = Field(default=4, ge=0)
    models: int = Field(default=1000, ge=0)
    predictions_per_day: int = Field(default=0, ge=0)


class UploadSettings(_Section):
    """The largest table, and the largest model file from outside."""

    max_bytes: int = Field(default=10 * 2**30, ge=1)
    max_model_bytes: int = Field(default=512 * 2**20, ge=1, le=512 * 2**20)


class ProcessSettings(BaseSettings):
    """What api-server and worker both need. A worker needs nothing more: it holds no signing key."""

    model_config = SettingsConfigDict(
        env_prefix="MILL_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    environment: Environment = Environment.PRODUCTION
    log_level: str = "INFO"
    database: DatabaseSettings
    broker: RedisSettings
    store: StoreSettings
    worker: WorkerSettings = WorkerSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    jobs: JobSettings = JobSettings()
    quotas: QuotaSettings = QuotaSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @model_validator(mode="after")
    def refuse_weak_secrets(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            weak = [name for name, secret in self._secrets().items() if is_weak(secret)]
            if weak:
                raise ValueError(f"{', '.join(weak)}: {_WEAK_SECRET}")
        return self

    def _secrets(self) -> dict[str, str]:
        """Each secret by the name of the variable it came in."""
        urls = self._urls()
        secrets = {name: urlsplit(url.get_secret_value()).password or "" for name, url in urls.items() if url}
        if self.store.url.startswith("s3:"):
            key = self.store.secret_key
            secrets["MILL_STORE__SECRET_KEY"] = key.get_secret_value() if key else ""
        return secrets

    def _urls(self) -> dict[str, SecretStr | None]:
        return {
            "MILL_DATABASE__URL": self.database.url,
            "MILL_DATABASE__SYSTEM_URL": self.database.system_url,
            "MILL_DATABASE__OWNER_URL": self.database.owner_url,
            "MILL_BROKER__URL": self.broker.url,
        }


class Settings(ProcessSettings):
    """All of it. Built once by the entry point; `create_app` takes it as an argument.

    `trusted_proxies` are the addresses or networks (comma separated) whose `X-Forwarded-For` is believed: nginx's, or none.
    """

    trusted_proxies: str = ""
    cache: RedisSettings
    tokens: TokenSettings
    access: AccessSettings = AccessSettings()
    publish: PublishSettings
    serving: ServingSettings
    uploads: UploadSettings = UploadSettings()
    limits: LimitSettings = LimitSettings()
    cors: CorsSettings = CorsSettings()

    def _urls(self) -> dict[str, SecretStr | None]:
        return {**super()._urls(), "MILL_CACHE__URL": self.cache.url}


class MigrationSettings(BaseSettings):
    """What `python -m mill_api migrate` needs, and nothing more: a migration holds no signing key."""

    model_config = SettingsConfigDict(
        env_prefix="MILL_DATABASE__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    owner_url: SecretStr


class OperatorSettings(BaseSettings):
    """What `python -m mill_api quota` needs: to see all workspaces."""

    model_config = SettingsConfigDict(env_prefix="MILL_DATABASE__", frozen=True, extra="ignore")

    system_url: SecretStr


class FlowerSettings(BaseSettings):
    """What `python -m mill_api flower` needs: the broker to watch and the password of its user `admin`."""

    model_config = SettingsConfigDict(
        env_prefix="MILL_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    broker: RedisSettings
    flower_password: SecretStr

    @field_validator("flower_password")
    @classmethod
    def refuse_a_weak_password(cls, password: SecretStr) -> SecretStr:
        """Whatever the environment is: who gets in can stop every worker."""
        if is_weak(password.get_secret_value()):
            raise ValueError(_WEAK_SECRET)
        return password


def is_weak(secret: str) -> bool:
    """Too short, or built around a word that everybody tries first."""
    return len(secret) < _SHORTEST_SECRET or any(word in secret.lower() for word in _WEAK)
