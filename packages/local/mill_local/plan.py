"""What the embedded stack consists of: each part's command line and environment. Built once by the supervisor at its start."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mill_local.home import Home
from mill_local.parts import ServicePart, ServiceSpec
from mill_local.ports import LOOPBACK, preferred_port
from mill_local.postgres import PostgresServer
from mill_local.process import Program
from mill_local.valkey import BROKER, CACHE, DANGEROUS, ValkeyServer

API_PORT = 8000
SERVING_PORT = 8001
SERVING_CACHE_BYTES = 1024**3
PASSED_ON = (
    "HOME",
    "TMPDIR",
    "LANG",
    "PATH",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "SSL_CERT_FILE",
)
_SETTINGS = ("MILL_", "OTEL_")


@dataclass(frozen=True)
class StackOptions:
    """What `modelmill up` lets one choose."""

    host: str = LOOPBACK
    api_port: int = API_PORT
    serving_port: int = SERVING_PORT
    shared_models: Path | None = None
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Ports:
    """The ports of the two services: the wanted ones when free, else the next."""

    api: int
    serving: int

    @classmethod
    def choose(cls, options: StackOptions) -> "Ports":
        api = preferred_port(options.api_port, options.host)
        serving = preferred_port(options.serving_port, options.host)
        return cls(api, serving if serving != api else preferred_port(api + 1, options.host))


@dataclass(frozen=True)
class Servers:
    """The three servers that hold state."""

    postgres: PostgresServer
    broker: ValkeyServer
    cache: ValkeyServer

    @classmethod
    def under(cls, home: Home) -> "Servers":
        return cls(
            PostgresServer(home.root / "postgres", log=home.log("postgres")),
            ValkeyServer(home.root / "broker", settings=BROKER, log=home.log("broker"), without=DANGEROUS),
            ValkeyServer(home.root / "cache", settings=CACHE, log=home.log("cache"), without=DANGEROUS),
        )


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the first part starts."""

    home: Home
    options: StackOptions
    ports: Ports
    servers: Servers

    @classmethod
    def make(cls, home: Home, options: StackOptions) -> "Plan":
        return cls(home, options, Ports.choose(options), Servers.under(home))

    @property
    def api_url(self) -> str:
        return f"http://{self._reachable}:{self.ports.api}"

    @property
    def serving_url(self) -> str:
        return f"http://{self._reachable}:{self.ports.serving}"

    @property
    def _reachable(self) -> str:
        """Listening on every address includes the loopback one, which is where this machine's own clients go."""
        return LOOPBACK if self.options.host == "0.0.0.0" else self.options.host  # noqa: S104 - compared, not bound

    def migration(self) -> Program:
        """The only program that is told the owner's password."""
        owner = {"MILL_DATABASE__OWNER_URL": self.servers.postgres.url("mill_owner")}
        return self._program("migrate", "mill_api", "migrate", extra=owner)

    def data_plane(self) -> ServicePart:
        """Needs no database: it starts while the migration runs."""
        program = self._program(
            "ml-service", "mill_serving", *self._serve(self.ports.serving), extra=self._serving_environment()
        )
        return ServicePart(ServiceSpec(program, self.ports.serving, f"{self.serving_url}/health/ready"))

    def control_plane(self) -> list[ServicePart]:
        """In the order they start; all parts stop the other way round."""
        extra = self._control_environment()
        api = self._program("api-server", "mill_api", *self._serve(self.ports.api), extra=extra)
        return [
            ServicePart(ServiceSpec(api, self.ports.api, f"{self.api_url}/health/ready")),
            self._worker("worker-ml", "ml", max(1, (os.cpu_count() or 1) // 2)),
            self._worker("worker-data", "data,general", 2),
        ]

    def _serve(self, port: int) -> tuple[str, ...]:
        return ("serve", "--host", self.options.host, "--port", str(port))

    def _worker(self, name: str, queues: str, concurrency: int) -> ServicePart:
        options = ("--queues", queues, "--name", name, "--concurrency", str(concurrency))
        program = self._program(name, "mill_api", "worker", *options, extra=self._control_environment())
        return ServicePart(ServiceSpec(program))

    def _program(self, name: str, module: str, *arguments: str, extra: Mapping[str, str]) -> Program:
        return Program(
            name=name,
            argv=[sys.executable, "-m", module, *arguments],
            log=self.home.log(name),
            environment=self._base_environment() | dict(extra),
            cwd=self.home.root,
        )

    def _base_environment(self) -> dict[str, str]:
        """Little of the caller's environment, and any `MILL_…` or `OTEL_…` setting; what the plan itself sets wins over both.

        Two are the caller's to choose: `MILL_STORE__URL`, an S3 server in place of the folder, and `MILL_ACCESS__REGISTRATION`.
        """
        own = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(_SETTINGS)}
        return own | dict(self.options.environment or {}) | {"PYTHONUNBUFFERED": "1", "TZ": "UTC", "NO_PROXY": "*"}

    def _control_environment(self) -> dict[str, str]:
        postgres = self.servers.postgres
        return self._shared() | {
            "MILL_DATABASE__URL": postgres.url("mill_app"),
            "MILL_DATABASE__SYSTEM_URL": postgres.url("mill_system"),
            "MILL_BROKER__URL": self.servers.broker.url,
            "MILL_TOKENS__PRIVATE_KEY_FILE": str(self.home.key_files("tokens")[0]),
            "MILL_PUBLISH__PRIVATE_KEY_FILE": str(self.home.key_files("publish")[0]),
            "MILL_SERVING__URL": self.serving_url,
            "MILL_WORKER__SCRATCH_DIR": str(self.home.folder("scratch")),
            "MILL_ACCESS__REGISTRATION": self._registration(),
        }

    def _registration(self) -> str:
        """Whoever reaches a stack that listens on this machine alone may register; on a network, by invitation."""
        chosen = self._base_environment().get("MILL_ACCESS__REGISTRATION")
        return chosen or ("open" if self.options.host == LOOPBACK else "invited")

    def _serving_environment(self) -> dict[str, str]:
        environment = self._shared() | {
            "MILL_TOKENS__PUBLIC_KEY_FILE": str(self.home.key_files("tokens")[1]),
            "MILL_PUBLISH__PUBLIC_KEY_FILE": str(self.home.key_files("publish")[1]),
            "MILL_SERVING__CACHE_DIR": str(self.home.folder("serving")),
            "MILL_SERVING__CACHE_BYTES": str(SERVING_CACHE_BYTES),
            "MILL_SERVING__REPLICA": "local-1",
            "MILL_SERVING__ADDRESS": self.serving_url,
        }
        shared = self.options.shared_models or shared_models_folder()
        return environment | ({"MILL_SERVING__SHARED_MODELS_DIR": str(shared)} if shared else {})

    def _shared(self) -> dict[str, str]:
        store = self._base_environment().get("MILL_STORE__URL") or self.home.folder("objects").as_uri()
        return {
            "MILL_ENVIRONMENT": "production",
            "MILL_STORE__URL": store,
            "MILL_CACHE__URL": self.servers.cache.url,
        }


def shared_models_folder() -> Path | None:
    """`shared-models/` of the repository this package is installed from."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared-models").is_dir():
            return parent / "shared-models"
    return None
