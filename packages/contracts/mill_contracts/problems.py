"""The shape of a refusal (RFC 9457), shared by HTTP answers and by jobs that failed."""

from pydantic import Field

from mill_contracts.base import Contract


class FieldProblem(Contract):
    """One thing that is wrong, and where: a JSON pointer, or a line and column of an uploaded table (1-based)."""

    detail: str
    pointer: str | None = None
    line: int | None = None
    column: str | None = None


class ProblemDocument(Contract):
    """`type` is the slug of the problem; the docs list them all. `request_id` finds the log lines."""

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: tuple[FieldProblem, ...] = ()
