"""Lists come in pages; the client walks them."""

from collections.abc import Iterator
from typing import Any, cast

from modelmill._errors import UnexpectedAnswer
from modelmill._transport import Transport
from modelmill._types import V

PAGE = 100


def walk(transport: Transport, url: str, kind: type[V], **filters: Any) -> Iterator[V]:
    """Every item of a list, newest first, fetching pages as they are needed."""
    cursor: str | None = None
    while True:
        answer: object = transport.get(url, cursor=cursor, limit=PAGE, **filters)
        if not isinstance(answer, dict) or "items" not in answer:
            raise UnexpectedAnswer(f"{url} answered no page of items")
        page = cast("dict[str, Any]", answer)
        yield from (kind.of(item) for item in page["items"])
        cursor = page.get("next_cursor")
        if cursor is None:
            return
