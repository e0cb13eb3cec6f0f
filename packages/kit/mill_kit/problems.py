"""The root of every refusal. Domains subclass it; it knows status and slug, never a web framework.

`mill_kit.http.problems` renders it as RFC 9457 `application/problem+json`; a failed job stores the same document.
"""

from collections.abc import Iterable
from typing import Any, ClassVar


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal with a face. Subclass it per case and set `status`, `slug`, `title`; the message says what to do next.

    `errors` are objects of `{"pointer"?, "line"?, "column"?, "detail"}`; `headers` go onto the HTTP answer.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[dict[str, Any]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = headers or {}
        super().__init__(self.detail)

    def document(self, *, instance: str | None = None, request_id: str | None = None) -> dict[str, Any]:
        """The RFC 9457 members; those without a value are left out."""
        body: dict[str, Any] = {
            "type": f"urn:modelmill:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if instance is not None:
            body["instance"] = instance
        if request_id is not None:
            body["request_id"] = request_id
        if self.errors:
            body["errors"] = list(self.errors)
        return body


class Invalid(Problem):
    """The payload is malformed: `errors` name each field."""

    status = 422
    slug = "invalid"
    title = "The request is not valid"


class NotFound(Problem):
    status = 404
    slug = "not-found"
    title = "Not found"


class Conflict(Problem):
    status = 409
    slug = "conflict"
    title = "In conflict with what exists"


class Unauthenticated(Problem):
    status = 401
    slug = "unauthenticated"
    title = "Sign in first"


class Forbidden(Problem):
    status = 403
    slug = "forbidden"
    title = "Not allowed"


class Unavailable(Problem):
    """A part this service needs is away; `Retry-After` says when to come back."""

    status = 503
    slug = "unavailable"
    title = "Not available right now"


class TooManyRequests(Problem):
    """`Retry-After` says when there is room again."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"


class TooLarge(Problem):
    status = 413
    slug = "too-large"
    title = "Too large"
