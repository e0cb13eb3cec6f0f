"""Problems that belong to no single domain of the control plane. Each domain has its own `errors.py` beside its rules."""

from mill_kit.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class InvalidCursor(Invalid):
    slug = "invalid-cursor"
    title = "The cursor is not one of ours"


class SchemaOutdated(Unavailable):
    slug = "schema-outdated"
    title = "The database needs a migration"


class WrongStore(Unavailable):
    slug = "wrong-store"
    title = "This object store belongs to another database"


__all__ = [
    "Conflict",
    "Forbidden",
    "Invalid",
    "InvalidCursor",
    "NotFound",
    "Problem",
    "SchemaOutdated",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "WrongStore",
]
