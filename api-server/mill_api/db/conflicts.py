"""Name the constraint a write ran into, so that a service can say it in its own words."""

from sqlalchemy.exc import IntegrityError


def violated_constraint(error: IntegrityError) -> str:
    """The constraint's or unique index's name; empty when PostgreSQL named none."""
    return str(getattr(error.driver_exception, "constraint_name", None) or "")
