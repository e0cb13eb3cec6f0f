"""The five health routes of every service: is it up, can it serve, and which part is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 3.0


@dataclass
class Health:
    """`required` checks decide readiness, `optional` ones are only shown. `draining` makes the service unready at once.

    `last` is what each part said when last asked. `shown` adds facts to the detailed answer that make nobody unready.
    """

    service: str
    version: str
    required: Mapping[str, Check] = field(default_factory=dict[str, Check])
    optional: Mapping[str, Check] = field(default_factory=dict[str, Check])
    started: bool = False
    draining: bool = False
    last: dict[str, bool] = field(default_factory=dict[str, bool])
    shown: Mapping[str, Callable[[], object]] = field(default_factory=dict[str, "Callable[[], object]"])
    _since: float = field(default_factory=time.monotonic)

    def routes(self) -> list[Route]:
        return [
            Route("/health", self._summary, name="health"),
            Route("/health/detailed", self._detailed, name="health_detailed"),
            Route("/health/ready", self._ready, name="health_ready"),
            Route("/health/live", self._live, name="health_live"),
            Route("/health/startup", self._startup, name="health_startup"),
        ]

    async def is_ready(self) -> bool:
        if self.draining or not self.started:
            return False
        return all(state == "ok" for state in (await self._ask(self.required)).values())

    async def _ask(self, checks: Mapping[str, Check]) -> dict[str, str]:
        states = await _run(checks)
        self.last |= {name: state == "ok" for name, state in states.items()}
        return states

    async def _summary(self, _request: Request) -> Response:
        ready = await self.is_ready()
        body = {"status": "healthy" if ready else "unhealthy", "service": self.service, "version": self.version}
        return JSONResponse(body, 200 if ready else 503)

    async def _detailed(self, _request: Request) -> Response:
        required, optional = await asyncio.gather(self._ask(self.required), self._ask(self.optional))
        healthy = self.started and not self.draining and all(state == "ok" for state in required.values())
        degraded = any(state != "ok" for state in optional.values())
        status = ("degraded" if degraded else "healthy") if healthy else "unhealthy"
        body = {
            "status": status,
            "service": self.service,
            "version": self.version,
            "uptime_seconds": round(time.monotonic() - self._since, 3),
            "checks": {**required, **optional},
            **{name: fact() for name, fact in self.shown.items()},
        }
        return JSONResponse(body, 200 if healthy else 503)

    async def _ready(self, _request: Request) -> Response:
        ready = await self.is_ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _startup(self, _request: Request) -> Response:
        return JSONResponse({"started": self.started}, 200 if self.started else 503)


@dataclass(frozen=True, eq=False)
class HealthCollector(Collector):
    """`health_check_ok` by part, as of the last time somebody asked a health route: a scrape waits for nobody."""

    health: Health

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("health_check_ok", "Whether the part answered when last asked", labels=["check"])
        for name, answered in self.health.last.items():
            family.add_metric([name], float(answered))
        yield family


async def _run(checks: Mapping[str, Check]) -> dict[str, str]:
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    return dict(zip(checks, states, strict=True))


async def _state(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except TimeoutError:
        return "no answer"
    except Exception as error:
        return f"failed: {type(error).__name__}"
    return "ok"
