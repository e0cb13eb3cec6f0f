"""A clock that stands still until told to move."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """Call it for the time; `advance` moves it."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
