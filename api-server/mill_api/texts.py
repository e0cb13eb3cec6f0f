"""Text that people type, as request schemas take it: names, tags, free JSON. Used by the `schemas.py` of every domain.

Slashes, quotes and emoji are welcome; what no database or terminal can show (control characters, lone surrogates) is refused.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_PROSE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_DEEPEST = 64
CONFIG_BYTES = 64 * 2**10
MOST_TAGS = 50


def one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control characters and line breaks are not allowed")
    return value


def prose(value: str) -> str:
    if _CONTROL_IN_PROSE.search(value):
        raise ValueError("control characters are not allowed")
    return value


def storable_json(value: dict[str, Any]) -> dict[str, Any]:
    """At most 64 KiB as UTF-8; finite numbers; no NUL, which PostgreSQL cannot store."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):
        raise ValueError("not storable: use finite numbers, valid Unicode and moderate nesting") from None
    if "\\u0000" in text:
        raise ValueError("not storable: it contains a NUL character")
    if size > CONFIG_BYTES:
        raise ValueError(f"{size} bytes; at most {CONFIG_BYTES} are kept")
    return value


def all_storable(value: Any) -> Any:
    """Refuses, each at its place, what PostgreSQL cannot keep: NUL, half characters, numbers that are not finite."""
    found = [
        InitErrorDetails(type=PydanticCustomError("unstorable", reason), loc=place, input=None)
        for place, reason in _unstorable(value)
    ]
    if found:
        raise ValidationError.from_exception_data("storable", found)
    return value


def _unstorable(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, str) and _UNSTORABLE.search(item):
            yield place, "contains a NUL character or half of a Unicode character; remove it"
        elif isinstance(item, float) and not math.isfinite(item):
            yield place, "is not a finite number; use null for a missing value"
        elif len(place) > _DEEPEST:
            yield place[:1], "is nested too deeply"
            return
        elif isinstance(item, dict):
            for key, inner in cast(dict[Any, Any], item).items():
                name = str(key)
                if _UNSTORABLE.search(name):
                    yield (*place, name), "the name contains a NUL character or half of a Unicode character; remove it"
                waiting.append(((*place, name), inner))
        elif isinstance(item, list):
            waiting.extend(((*place, index), inner) for index, inner in enumerate(cast(list[Any], item)))


def distinct_tags(tags: list[str]) -> list[str]:
    """In the order given, each once."""
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > MOST_TAGS:
        raise ValueError(f"at most {MOST_TAGS} tags")
    return distinct


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(one_line)]
Tags = Annotated[list[Tag], AfterValidator(distinct_tags)]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(prose)]
Search = Annotated[str, StringConstraints(max_length=200), AfterValidator(one_line)]
FreeJson = Annotated[dict[str, Any], AfterValidator(storable_json)]
StorableJson = Annotated[dict[str, Any], AfterValidator(all_storable)]
VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
