"""Everything this package raises.

ModelmillError
├── ApiError                the server refused; carries its RFC 9457 document
│   ├── InvalidRequest      400, 422: `errors` name each field
│   ├── AuthenticationError 401
│   │   ├── WrongCredentials
│   │   └── TokenRefused
│   ├── PermissionDenied    403
│   ├── NotFound            404
│   ├── Conflict            409
│   │   └── AlreadyRegistered
│   ├── TooLarge            413
│   ├── RateLimited         429
│   └── ServerError         5xx
│       └── Unavailable     503
├── ConnectionFailed        nobody answered; whether the request was carried out is unknown unless it was a read
│   └── TimedOut
├── DeploymentFailed        a replica cannot serve the version, or not in time; the version before goes on serving
├── UnexpectedAnswer        the answer is not what this version of the client understands
└── JobError                the job ended, but not well, or not yet
    ├── JobFailed           `problem` says why
    ├── JobCancelled
    └── JobStillRunning     the time given to `wait` is over
"""

# ruff: noqa: N818 - the names say what happened, as httpx names its own

from collections.abc import Mapping
from typing import Any, cast

from modelmill._root import ModelmillError as ModelmillError
from modelmill._root import UnexpectedAnswer as UnexpectedAnswer
from modelmill._types import Deployment, Job

TYPE_PREFIX = "urn:modelmill:problem:"


class ApiError(ModelmillError):
    """A refusal. `type` is the stable slug of the problem; `request_id` finds the server's log lines."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = dict(document)
        self.type = str(document.get("type", "")).removeprefix(TYPE_PREFIX)
        self.title = str(document.get("title", f"HTTP {status}"))
        self.detail = str(document.get("detail", self.title))
        self.request_id = document.get("request_id")
        listed: object = document.get("errors")
        self.errors = cast("list[dict[str, Any]]", listed) if isinstance(listed, list) else []
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [self.detail if self.detail == self.title else f"{self.title}: {self.detail}"]
        lines += [_line(error) for error in self.errors[:20]]
        return "\n".join(lines)


def _line(error: Mapping[str, Any]) -> str:
    places = [f"{name} {error[name]}" for name in ("line", "column") if error.get(name) is not None]
    where = error.get("pointer") or ", ".join(places)
    return f"  {where}: {error.get('detail', '')}" if where else f"  {error.get('detail', '')}"


class InvalidRequest(ApiError): ...


class AuthenticationError(ApiError): ...


class WrongCredentials(AuthenticationError): ...


class TokenRefused(AuthenticationError): ...


class PermissionDenied(ApiError): ...


class NotFound(ApiError): ...


class Conflict(ApiError): ...


class AlreadyRegistered(Conflict): ...


class TooLarge(ApiError): ...


class RateLimited(ApiError): ...


class ServerError(ApiError): ...


class Unavailable(ServerError): ...


class ConnectionFailed(ModelmillError): ...


class TimedOut(ConnectionFailed): ...


class DeploymentFailed(ModelmillError):
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        reasons = "; ".join(
            f"{replica['replica']}: {replica.get('reason') or replica['state']}" for replica in deployment.replicas
        )
        super().__init__(
            f"{deployment.model_name} is {deployment.status}, not deployed ({reasons or 'no replica reports'})"
        )


class JobError(ModelmillError):
    def __init__(self, job: Job, message: str) -> None:
        self.job = job
        super().__init__(message)


class JobFailed(JobError):
    """`problem` is the RFC 9457 document of the failure."""

    def __init__(self, job: Job) -> None:
        self.problem = dict(job.problem or {})
        described = (
            ApiError(int(self.problem.get("status", 500)), self.problem) if self.problem else "no reason was given"
        )
        super().__init__(job, f"job {job.id} ({job.kind}) failed: {described}")


class JobCancelled(JobError):
    def __init__(self, job: Job) -> None:
        super().__init__(job, f"job {job.id} ({job.kind}) was cancelled")


class JobStillRunning(JobError):
    def __init__(self, job: Job, seconds: float) -> None:
        super().__init__(job, f"job {job.id} ({job.kind}) is still {job.state} after {seconds:g} s")


_BY_TYPE: dict[str, type[ApiError]] = {
    "wrong-credentials": WrongCredentials,
    "invalid-token": TokenRefused,
    "invalid-api-key": TokenRefused,
    "invalid-refresh-token": TokenRefused,
    "refresh-token-used": TokenRefused,
    "credentials-refused": TokenRefused,
    "email-taken": AlreadyRegistered,
    "username-taken": AlreadyRegistered,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
}


def error_for(status: int, document: Mapping[str, Any]) -> ApiError:
    """The exception for a problem document: by its type, else by its status."""
    slug = str(document.get("type", "")).removeprefix(TYPE_PREFIX)
    by_status = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return _BY_TYPE.get(slug, by_status)(status, document)
