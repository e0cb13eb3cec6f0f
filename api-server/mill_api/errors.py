"""Problems that belong to no single domain of the control plane. Each domain has its own `errors.py` beside its rules."""

from mill_kit.problems import Conflict, Forbidden, Invalid, NotFound, Problem, Unauthenticated, Unavailable


class InvalidCursor(Invalid):
    slug = "invalid-cursor"
    title = "The cursor is not one of ours"


__all__ = ["Conflict", "Forbidden", "Invalid", "InvalidCursor", "NotFound", "Problem", "Unauthenticated", "Unavailable"]
