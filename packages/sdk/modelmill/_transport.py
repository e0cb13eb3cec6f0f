"""The one seam to HTTP: credentials, retries, time limits and errors. Every resource goes through `Transport`."""

import random
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx

from modelmill._errors import ConnectionFailed, TimedOut, UnexpectedAnswer, error_for
from modelmill._tokens import Identity

KEY_HEADER = "Idempotency-Key"
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
LONGEST_WAIT = 20.0


@dataclass(frozen=True)
class Retries:
    """Only calls that may be repeated without harm are; `wait` doubles each time, with jitter, unless the server names a time."""

    attempts: int = 3
    wait: float = 0.2

    def pause(self, attempt: int, answer: httpx.Response | None) -> None:
        time.sleep(self.seconds(attempt, answer))

    def seconds(self, attempt: int, answer: httpx.Response | None) -> float:
        """Never less than the server says, and a little more, so that clients refused together do not come back together."""
        named = _named_wait(answer)
        if named is not None:
            return named + random.uniform(0.0, self.wait + named / 4)  # noqa: S311 - spreads load, hides nothing
        return min(self.wait * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311


def _named_wait(answer: httpx.Response | None) -> float | None:
    named = answer.headers.get("retry-after", "") if answer is not None else ""
    return float(named) if named.isdigit() else None


def path(*parts: object) -> str:
    """`/api/v1/…` with every part quoted, so that no name can leave its place."""
    return "/api/v1/" + "/".join(quote(str(part), safe="") for part in parts)


class Transport:
    def __init__(self, http: httpx.Client, identity: Identity, retries: Retries) -> None:
        self._http = http
        self._identity = identity
        self._retries = retries

    def get(self, url: str, **query: Any) -> Any:
        return self.json("GET", url, params=_given(query))

    def post(self, url: str, body: Mapping[str, Any] | None = None, *, idempotent: bool = False) -> Any:
        return self.json("POST", url, idempotent=idempotent, json=_given(body) if body is not None else None)

    def create(self, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """A POST that makes something: sent with a key of its own, so that it may be repeated and is carried out once."""
        headers = {KEY_HEADER: str(uuid4())}
        return self.json("POST", url, idempotent=True, json=_given(body) if body is not None else None, headers=headers)

    def upload(self, url: str, fields: Mapping[str, Any], files: Mapping[str, Any], *, again: bool) -> Any:
        """A multipart POST with a key of its own; `again` where the file can be read from its beginning once more."""
        headers = {KEY_HEADER: str(uuid4())}
        return self.json("POST", url, idempotent=again, data=fields, files=files, timeout=None, headers=headers)

    def patch(self, url: str, body: Mapping[str, Any]) -> Any:
        return self.json("PATCH", url, json=dict(body))

    def put(self, url: str, body: Mapping[str, Any]) -> Any:
        return self.json("PUT", url, json=dict(body))

    def delete(self, url: str, **query: Any) -> None:
        self.json("DELETE", url, params=_given(query))

    def json(self, method: str, url: str, *, idempotent: bool | None = None, **options: Any) -> Any:
        """The decoded answer, None for an empty one. GET, PUT and DELETE are idempotent unless told otherwise."""
        repeatable = method in {"GET", "PUT", "DELETE"} if idempotent is None else idempotent
        return _decoded(self._send(method, url, repeatable, options))

    def _send(self, method: str, url: str, repeatable: bool, options: dict[str, Any]) -> httpx.Response:
        attempts = self._retries.attempts
        for attempt in range(attempts):
            last = attempt == attempts - 1
            try:
                answer = self._once(method, url, options)
            except ConnectionFailed:
                if last or not repeatable:
                    raise
                self._retries.pause(attempt, None)
                continue
            if not last and _comes_again(answer, repeatable, refused_too=repeatable or _may_repeat(options)):
                self._retries.pause(attempt, answer)
                continue
            _raise_for(answer)
            return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, method: str, url: str, options: dict[str, Any]) -> httpx.Response:
        extra: dict[str, str] = options.get("headers", {})
        options = {name: value for name, value in options.items() if name != "headers"}
        header = self._identity.header(self.bare_post)
        with translated(url):
            answer = self._http.request(method, url, headers=header | extra, **options)
        if (
            answer.status_code == 401
            and header
            and _may_repeat(options)
            and self._identity.refused(self.bare_post, header)
        ):
            again = self._identity.header(self.bare_post) | extra
            with translated(url):
                answer = self._http.request(method, url, headers=again, **options)
        return answer

    def bare_post(self, url: str, fields: dict[str, Any], form: bool) -> dict[str, Any]:
        """A POST without credentials, for signing in."""
        with translated(url):
            answer = self._http.post(url, data=fields) if form else self._http.post(url, json=fields)
        _raise_for(answer)
        return cast("dict[str, Any]", _decoded(answer) or {})

    @contextmanager
    def stream(self, url: str, *, read_timeout: float | None = None, **options: Any) -> Generator[httpx.Response]:
        """A GET whose body is read as it comes; refused answers raise as elsewhere."""
        extra: dict[str, str] = options.pop("headers", {})
        if read_timeout is not None:
            usual = self._http.timeout
            options["timeout"] = httpx.Timeout(
                connect=usual.connect, read=read_timeout, write=usual.write, pool=usual.pool
            )
        header = self._identity.header(self.bare_post)
        request = self._http.build_request("GET", url, headers={**header, **extra}, **options)
        with translated(url):
            answer = self._http.send(request, stream=True)
            if answer.status_code == 401 and header and self._identity.refused(self.bare_post, header):
                answer.close()
                request.headers.update(self._identity.header(self.bare_post))
                answer = self._http.send(request, stream=True)
            try:
                if answer.status_code >= 400:
                    answer.read()
                    _raise_for(answer)
                yield answer
            finally:
                answer.close()


def _comes_again(answer: httpx.Response, repeatable: bool, *, refused_too: bool) -> bool:
    """Whether to ask once more. What was refused for coming too often was not carried out, so any body still at hand may be sent."""
    status, wait = answer.status_code, _named_wait(answer)
    if wait is not None and wait > LONGEST_WAIT:
        return False
    if status == 429:
        return refused_too
    in_flight = status == 409 and KEY_HEADER in answer.request.headers and b"request-in-flight" in answer.content
    return repeatable and (status in RETRIED_STATUSES or in_flight)


@contextmanager
def translated(url: str) -> Generator[None]:
    """httpx's failures become ours."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise TimedOut(f"no answer in time from {url} ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise ConnectionFailed(f"cannot reach {_where(error, url)}: {error or type(error).__name__}") from error


def _where(error: httpx.HTTPError, url: str) -> str:
    try:
        return str(error.request.url)
    except RuntimeError:
        return url


def _may_repeat(options: Mapping[str, Any]) -> bool:
    """A streamed body is spent after the first try."""
    return "files" not in options and "content" not in options


def _raise_for(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    try:
        document: Any = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"title": f"HTTP {answer.status_code}", "detail": answer.text[:500] or answer.reason_phrase}
    raise error_for(answer.status_code, cast("dict[str, Any]", document))


def _decoded(answer: httpx.Response) -> Any:
    if answer.status_code == 204 or not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise UnexpectedAnswer(
            f"{answer.request.url} answered something else than JSON; is it a Modelmill server?"
        ) from error


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left out."""
    return {name: value for name, value in values.items() if value is not None}
