"""Makes each version of a new snapshot ready here before it serves, and tells the control plane how far this replica is.

A version is ready when it was loaded once and repeated its golden rows. Until then, and when it fails, its model's bare name
stays with the previous version, as long as the snapshot carries that one too.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from mill_contracts.routing import REPLICA_KEY_PREFIX, ReplicaReport, Route, VersionReadiness
from mill_kit.logs import get_logger
from mill_kit.problems import Problem

from mill_serving.packages import LoadedModel, PackageFolder
from mill_serving.registry import Registry
from mill_serving.repository import Catalogue, build_catalogue
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_serving.snapshot.line import Away, RedisLine
from mill_serving.targets import Target

_LONGEST_WAIT = 60.0
_AT_ONCE = 2


@dataclass
class _Progress:
    state: Literal["loading", "ready", "failed"] = "loading"
    reason: str | None = None
    attempts: int = 0
    retry_at: float = 0.0


@dataclass
class Rollout:
    """`catalogue` is what answers now; it is exchanged as versions become ready.

    `suspended` says why a version is that crashed too often: it is reported as failed, and goes on being the one that is asked.
    """

    keeper: SnapshotKeeper
    registry: Registry[LoadedModel]
    folder: PackageFolder
    shared: tuple[Target, ...]
    retry_seconds: float
    suspended: Callable[[str], str | None] = lambda _version_id: None
    catalogue: Catalogue = field(default_factory=Catalogue)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _progress: dict[UUID, _Progress] = field(default_factory=dict[UUID, _Progress])
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def refresh(self, anew: Collection[str] = ()) -> None:
        """The snapshot changed, or the readiness of a version did. Versions that failed and are `anew` need not wait any longer."""
        routes = self.routes()
        self._progress = {route.model_version_id: self._known(route.model_version_id, anew) for route in routes}
        self.catalogue = build_catalogue(routes, self.shared, self.is_ready)
        self.changed.set()
        self._wake.set()

    def is_ready(self, version: UUID) -> bool:
        progress = self._progress.get(version)
        return progress is not None and progress.state == "ready"

    def readiness(self) -> tuple[VersionReadiness, ...]:
        return tuple(self._readiness(version, progress) for version, progress in self._progress.items())

    async def run(self) -> None:
        """For ever: prepare what is not ready, retry what failed, drop the packages nobody routes to."""
        await self._warm_shared()
        while True:
            self._wake.clear()
            number = self.keeper.number
            while due := self._due():
                await asyncio.gather(*(self._prepare(route) for route in due))
            if number:
                wanted = {route.sha256 for route in self.routes()}
                await asyncio.to_thread(self.folder.forget_all_but, wanted)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause())

    def routes(self) -> tuple[Route, ...]:
        return self.keeper.in_force.snapshot.routes if self.keeper.in_force else ()

    def _known(self, version: UUID, anew: Collection[str]) -> _Progress:
        progress = self._progress.get(version)
        if progress is None or (progress.state == "failed" and str(version) in anew):
            return _Progress()
        return progress

    def _readiness(self, version: UUID, progress: _Progress) -> VersionReadiness:
        reason = self.suspended(str(version))
        if reason is not None:
            return VersionReadiness(model_version_id=version, state="failed", reason=f"suspended: {reason}")
        return VersionReadiness(model_version_id=version, state=progress.state, reason=progress.reason)

    def _due(self) -> list[Route]:
        """A few at a time, those already on our disk first: the store may be away, and waiting for it is slow."""
        now = asyncio.get_running_loop().time()
        pending = [route for route in self.routes() if self._is_due(route, now)]
        return sorted(pending, key=lambda route: not self.folder.holds(route.sha256))[:_AT_ONCE]

    def _is_due(self, route: Route, now: float) -> bool:
        progress = self._progress.get(route.model_version_id)
        return progress is not None and progress.state != "ready" and progress.retry_at <= now

    def _pause(self) -> float | None:
        pending = [progress.retry_at for progress in self._progress.values() if progress.state != "ready"]
        return max(0.05, min(pending) - asyncio.get_running_loop().time()) if pending else None

    async def _prepare(self, route: Route) -> None:
        progress = self._progress[route.model_version_id]
        try:
            await self.registry.get(Target.of_route(route))
        except Problem as error:
            wait = min(self.retry_seconds * 2**progress.attempts, _LONGEST_WAIT)
            progress.state, progress.reason = "failed", error.detail
            progress.attempts += 1
            progress.retry_at = asyncio.get_running_loop().time() + wait
        else:
            progress.state, progress.reason = "ready", None
            get_logger().info("version_ready", version_id=str(route.model_version_id), name=route.name)
        if route.previous_version_id is not None:
            self.catalogue = build_catalogue(self.routes(), self.shared, self.is_ready)
        self.changed.set()

    async def _warm_shared(self) -> None:
        for target in self.shared:
            with contextlib.suppress(Problem):
                await self.registry.get(target)


@dataclass(frozen=True)
class Reporter:
    """Writes this replica's report to Redis, at once after a change and every second besides, with a TTL."""

    line: RedisLine
    rollout: Rollout
    replica: str
    address: str
    seconds: float
    ttl_seconds: int

    async def run(self) -> None:
        while True:
            self.rollout.changed.clear()
            with contextlib.suppress(*Away):
                await self._send()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.rollout.changed.wait(), self.seconds)

    async def withdraw(self) -> None:
        """This replica stops: nobody need wait for it."""
        with contextlib.suppress(*Away):
            await self.line.delete(self._key)

    @property
    def _key(self) -> str:
        return REPLICA_KEY_PREFIX + self.replica

    async def _send(self) -> None:
        report = ReplicaReport(
            replica=self.replica,
            address=self.address,
            number=self.rollout.keeper.number,
            reported_at=datetime.now(UTC),
            versions=self.rollout.readiness(),
        )
        await self.line.set(self._key, report.model_dump_json(), self.ttl_seconds)
