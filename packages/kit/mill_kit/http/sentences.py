"""Plain sentences for what a schema refuses. Used by `problems` for every body, and by services that read forms themselves."""

from collections.abc import Callable, Mapping
from typing import Any

_Context = Mapping[str, Any]


def sentence(item: Mapping[str, Any]) -> str:
    """One error of pydantic's `errors()`, told to whoever sent the request; pydantic's own words where they are plain."""
    say = _SENTENCES.get(item["type"])
    return str(item["msg"]) if say is None else say(item.get("ctx", {}))


def _remove(_: _Context) -> str:
    return "is not a field of this request; remove it"


def _needed(_: _Context) -> str:
    return "is missing; it is required"


def _short_list(context: _Context) -> str:
    return f"has {context['actual_length']} entries; it needs at least {context['min_length']}"


def _long_list(context: _Context) -> str:
    return f"has too many entries; at most {context['max_length']} are allowed"


def _short_text(context: _Context) -> str:
    least = context["min_length"]
    return "must not be empty" if least == 1 else f"is too short; it needs at least {least} characters"


def _long_text(context: _Context) -> str:
    return f"is too long; at most {context['max_length']} characters are allowed"


def _pattern(context: _Context) -> str:
    return f"does not have the form {context['pattern']}"


def _own_words(context: _Context) -> str:
    return str(context["error"])


_SENTENCES: Mapping[str, Callable[[_Context], str]] = {
    "extra_forbidden": _remove,
    "missing": _needed,
    "too_short": _short_list,
    "too_long": _long_list,
    "string_too_short": _short_text,
    "string_too_long": _long_text,
    "string_pattern_mismatch": _pattern,
    "value_error": _own_words,
}
