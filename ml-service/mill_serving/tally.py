"""How many rows each workspace had predicted today, told to the control plane; and whose day is used up, heard from it.

Reads the counters that predictions write anyway, every few seconds: a prediction itself costs nothing more. The models beyond the
first 200 of a process share one counter and are not told.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from mill_contracts.routing import EXHAUSTED_KEY, TALLY_KEY_PREFIX, DayCount, Exhausted, Tally
from pydantic import ValidationError

from mill_serving.snapshot.line import Away, RedisLine
from mill_serving.statistics import Statistics
from mill_serving.targets import Target

_SECONDS = 3.0
_KEPT_SECONDS = 2 * 86_400


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass
class DayTally:
    """`targets` are those served now; `used_up` is called with the workspaces that have nothing left."""

    line: RedisLine
    statistics: Statistics
    targets: Callable[[], Iterable[Target]]
    used_up: Callable[[frozenset[UUID]], None]
    replica: str
    today: Callable[[], date] = _today
    _run: str = field(default_factory=lambda: secrets.token_hex(4))
    _seen: dict[str, int] = field(default_factory=dict[str, int])
    _days: Counter[tuple[UUID, date]] = field(default_factory=Counter[tuple[UUID, date]])

    async def run(self) -> None:
        """For ever."""
        while True:
            self.count()
            with contextlib.suppress(*Away):
                await self.tell()
                await self.hear()
            await asyncio.sleep(_SECONDS)

    def count(self) -> None:
        """What has come since the last look is of today; yesterday is kept a while for a control plane that was away."""
        whose = {target.label: target.workspace_id for target in self.targets()}
        today = self.today()
        for label, counters in list(self.statistics.models.items()):
            rows, workspace = counters.rows, whose.get(label)
            if workspace is not None:
                self._days[workspace, today] += rows - self._seen.get(label, 0)
                self._seen[label] = rows
        for key in [key for key in self._days if key[1] < today - timedelta(days=1)]:
            del self._days[key]

    def told(self) -> Tally:
        counts = tuple(DayCount(workspace_id=who, day=day, count=n) for (who, day), n in self._days.items() if n)
        return Tally(source=f"{self.replica}/{self._run}", counts=counts)

    async def tell(self) -> None:
        tally = self.told()
        if tally.counts:
            await self.line.set(TALLY_KEY_PREFIX + tally.source, tally.model_dump_json(), _KEPT_SECONDS)

    async def hear(self) -> None:
        told = await self.line.get(EXHAUSTED_KEY)
        self.used_up(self._believed(told))

    def _believed(self, told: bytes | None) -> frozenset[UUID]:
        """A list of another day, or none, exhausts nobody."""
        if told is None:
            return frozenset()
        try:
            exhausted = Exhausted.model_validate_json(told)
        except ValidationError:
            return frozenset()
        return frozenset(exhausted.workspaces) if exhausted.day == self.today() else frozenset()
