"""Server-sent events (WHATWG HTML, section 9.2): only what a job's event stream needs."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from modelmill._types import JobEvent


def parse_events(lines: Iterable[str]) -> Iterator[JobEvent | None]:
    """Events whose data is JSON; None for a comment (a keep-alive), so that whoever waits can look at the clock."""
    kind, identity, data = "message", None, list[str]()
    for line in lines:
        if line.startswith(":"):
            yield None
            continue
        if line == "":
            event = _event(kind, identity, data)
            if event is not None:
                yield event
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            identity = value


def _event(kind: str, identity: str | None, data: list[str]) -> JobEvent | None:
    if not data:
        return None
    try:
        document: object = json.loads("\n".join(data))
    except ValueError:
        return None
    return JobEvent(kind, cast("dict[str, Any]", document), identity) if isinstance(document, dict) else None
