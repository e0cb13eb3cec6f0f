"""Cursors survive a round trip and nothing else does."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mill_api.db.pages import Position
from mill_api.errors import InvalidCursor

MOMENTS = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1))  # noqa: DTZ001 - hypothesis adds the zone


@given(MOMENTS, st.uuids())
def test_a_cursor_comes_back_as_the_position_it_was(moment: datetime, identity: UUID) -> None:
    assert Position.parse(Position(moment, identity).cursor()) == Position(moment, identity)


@given(st.text(max_size=200))
def test_nothing_else_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Position.parse(text)


def test_a_moment_without_a_zone_is_no_position() -> None:
    there = Position(datetime.now(timezone(timedelta(hours=1))), uuid4())
    assert Position.parse(there.cursor()).created_at == there.created_at
    with pytest.raises(InvalidCursor):
        Position.parse(Position(datetime(2026, 1, 1), uuid4()).cursor())  # noqa: DTZ001 - that is the point
