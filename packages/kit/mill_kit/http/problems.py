"""Problems as `application/problem+json` (RFC 9457): the one place where an error gets its HTTP face."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mill_kit.http.request_id import current_request_id
from mill_kit.http.sentences import sentence
from mill_kit.logs import get_logger
from mill_kit.problems import Invalid, Problem

MEDIA_TYPE = "application/problem+json"
_SLUGS = {
    404: "no-such-route",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    415: "unsupported-media-type",
}


def problem_response(problem: Problem, instance: str | None = None) -> Response:
    document = problem.document(instance=instance, request_id=current_request_id())
    return _answer(document, problem.headers)


def install(app: Starlette, validation_error: type[Exception] | None = None) -> None:
    """Answer every error of `app` as a problem.

    `validation_error` is the framework's own (`fastapi.exceptions.RequestValidationError`): an exception with `errors()`.
    """
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_anything)
    if validation_error is not None:
        app.add_exception_handler(validation_error, _on_validation_error)


async def _on_problem(request: Request, error: Exception) -> Response:
    problem = cast(Problem, error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        get_logger().error("problem", slug=problem.slug, detail=problem.detail, exc_info=error)
    return problem_response(problem, request.url.path)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    if refusal.status_code == HTTPStatus.BAD_REQUEST and isinstance(error.__cause__, ValueError | RecursionError):
        return problem_response(_not_json(error.__cause__), request.url.path)  # FastAPI could not read the body
    title = HTTPStatus(refusal.status_code).phrase
    document = {
        "type": f"urn:modelmill:problem:{_SLUGS.get(refusal.status_code, 'http-error')}",
        "title": title,
        "status": refusal.status_code,
        "detail": _what_to_do(refusal, title),
        "instance": request.url.path,
        "request_id": current_request_id(),
    }
    return _answer(document, refusal.headers or {})


async def _on_validation_error(request: Request, error: Exception) -> Response:
    found: Sequence[Mapping[str, Any]] = cast(Any, error).errors()
    if found and found[0]["type"] == "json_invalid":
        return problem_response(_not_json(error.__cause__, found[0]), request.url.path)
    errors = [{"pointer": pointer(item["loc"]), "detail": sentence(item)} for item in found]
    detail = "; ".join(
        f"{item['pointer']}: {item['detail']}" if item["pointer"] else item["detail"] for item in errors[:5]
    )
    return problem_response(Invalid(detail, errors=errors), request.url.path)


def _not_json(cause: BaseException | None, item: Mapping[str, Any] | None = None) -> Invalid:
    """Where a JSON body stops being JSON, as far as the parser that gave up (`cause`) knows."""
    if isinstance(cause, json.JSONDecodeError):
        return Invalid(f"the body is not valid JSON (byte {len(cause.doc[: cause.pos].encode(errors='replace'))})")
    if isinstance(cause, UnicodeDecodeError):
        return Invalid(f"the body is not valid JSON (byte {cause.start}): it is not UTF-8")
    if isinstance(cause, RecursionError):
        return Invalid("the body is not valid JSON: it is nested too deeply")
    if item is not None:
        return Invalid("the body is not valid JSON")
    return Invalid("the body is not valid JSON: a number in it is too long")


async def _on_anything(request: Request, error: Exception) -> Response:
    get_logger().error("unhandled_error", path=request.url.path, exc_info=error)
    document = {
        "type": "urn:modelmill:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": "Something went wrong on our side; the request id finds it in the logs.",
        "instance": request.url.path,
        "request_id": current_request_id(),
    }
    return _answer(document, {})


def _what_to_do(refusal: HTTPException, title: str) -> str:
    """The detail given by whoever raised it; where that only repeats the status, a way on."""
    if refusal.detail != title:
        return str(refusal.detail)
    if refusal.status_code == HTTPStatus.NOT_FOUND:
        return "no such address; the API is described at /docs"
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (refusal.headers or {}).get("Allow")
        known = f"it takes {allowed}" if allowed else "see Allow"
        return f"this address does not take this method; {known}; the API is described at /docs"
    return str(refusal.detail)


def pointer(location: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901) into the body, or `/query/name` and the like for other places."""
    parts = location[1:] if location and location[0] == "body" else location
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _answer(document: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(
        json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace"),
        status_code=int(document["status"]),
        headers=dict(headers),
        media_type=MEDIA_TYPE,
    )
