"""Holds the snapshot in force. Sources offer what they find; the engine and the rollout read it.

`confirmed_at` is the last moment a source held exactly this snapshot and nothing newer: the age that is limited. It is kept as
the modification time of the file, so that a restart with everything else down does not make an old snapshot young.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from mill_contracts.routing import Revocation, RoutingSnapshot
from mill_kit.logs import get_logger
from mill_kit.problems import Problem

from mill_serving.errors import InvalidSnapshot, NoSnapshot, SnapshotTooOld
from mill_serving.files import write_private
from mill_serving.snapshot.document import TrustedKeys, api_key_table, read_snapshot, revocations_by_user
from mill_serving.targets import Principal

_TOUCH_SECONDS = 30.0


@dataclass(frozen=True)
class InForce:
    """`sha256` is of the signed document: the same bytes need no second look."""

    snapshot: RoutingSnapshot
    keys: Mapping[str, Principal]
    revocations: Mapping[UUID, tuple[Revocation, ...]]
    sha256: bytes


@dataclass
class SnapshotKeeper:
    """`on_change` is called on the loop after each new snapshot."""

    path: Path
    trusted: TrustedKeys
    max_age_hours: float
    on_change: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
    in_force: InForce | None = None
    confirmed_at: float = 0.0
    rejected: int = 0
    _touched: float = 0.0
    _adopting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def number(self) -> int:
        return self.in_force.snapshot.number if self.in_force else 0

    @property
    def age_seconds(self) -> float:
        return max(0.0, self.clock() - self.confirmed_at)

    def check(self) -> None:
        """Raises `NoSnapshot` or `SnapshotTooOld`."""
        if self.in_force is None:
            raise NoSnapshot
        if self.clock() - self.confirmed_at > self.max_age_hours * 3600:
            raise SnapshotTooOld(self.max_age_hours)

    def restore(self) -> None:
        """Take up what the last run left on disk; blocks, before serving starts."""
        try:
            confirmed = self.path.stat().st_mtime
            self.in_force = _believed(self.path.read_bytes(), self.trusted)
        except FileNotFoundError:
            return
        except (Problem, OSError) as error:
            get_logger().warning("snapshot_on_disk_refused", reason=str(error))
            return
        self.confirmed_at = min(confirmed, self.clock())

    async def offer(self, data: bytes, source: str, expected: int | None = None) -> bool:
        """True when it is in force now, whether it was before or not. A lower one, or one nobody signed, changes nothing."""
        if self.in_force is not None and sha256(data).digest() == self.in_force.sha256:
            self.confirm()
            return True
        async with self._adopting:
            try:
                found = await asyncio.to_thread(_believed, data, self.trusted)
                if expected is not None and found.snapshot.number != expected:
                    raise InvalidSnapshot(f"it is number {found.snapshot.number}, published as {expected}")
            except Problem as error:
                self.rejected += 1
                get_logger().warning("snapshot_refused", source=source, reason=error.detail)
                return False
            if found.snapshot.number > self.number:
                await self._keep(data)
                self.in_force = found
                self._confirm(touched=True)
                get_logger().info("snapshot_adopted", source=source, number=found.snapshot.number)
                self.on_change()
                return True
            return self.in_force is not None and found.sha256 == self.in_force.sha256

    async def _keep(self, data: bytes) -> None:
        """A full disk costs the copy for the next restart, not the snapshot."""
        try:
            await asyncio.to_thread(write_private, self.path, data)
        except OSError as error:
            get_logger().error("snapshot_not_kept", reason=str(error))

    def confirm(self) -> None:
        """A source holds exactly ours and nothing newer."""
        self._confirm(touched=False)

    def _confirm(self, *, touched: bool) -> None:
        self.confirmed_at = self.clock()
        if touched:
            self._touched = self.confirmed_at
        elif self.confirmed_at - self._touched > _TOUCH_SECONDS and self.path.exists():
            os.utime(self.path, (self.confirmed_at, self.confirmed_at))
            self._touched = self.confirmed_at


def _believed(data: bytes, trusted: TrustedKeys) -> InForce:
    snapshot = read_snapshot(data, trusted)
    return InForce(snapshot, api_key_table(snapshot), revocations_by_user(snapshot), sha256(data).digest())
