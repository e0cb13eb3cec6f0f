"""Modelmill's Python client: upload tables, train models, deploy them, predict. `Client` is where everything begins.

The classes of errors are drawn in `modelmill._errors`; every one is a `ModelmillError`.
"""

from modelmill._client import Client
from modelmill._errors import (
    AlreadyRegistered,
    ApiError,
    AuthenticationError,
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    JobCancelled,
    JobError,
    JobFailed,
    JobStillRunning,
    ModelmillError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    TimedOut,
    TokenRefused,
    TooLarge,
    Unavailable,
    UnexpectedAnswer,
    WrongCredentials,
)
from modelmill._tokens import MemoryKeeper, TokenKeeper, Tokens
from modelmill._transport import Retries
from modelmill._types import ApiKey, Dataset, Job, JobEvent, Model, ModelVersion, Prediction, Predictions, Project, User

__all__ = [
    "AlreadyRegistered",
    "ApiError",
    "ApiKey",
    "AuthenticationError",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Dataset",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobStillRunning",
    "MemoryKeeper",
    "Model",
    "ModelVersion",
    "ModelmillError",
    "NotFound",
    "PermissionDenied",
    "Prediction",
    "Predictions",
    "Project",
    "RateLimited",
    "Retries",
    "ServerError",
    "TimedOut",
    "TokenKeeper",
    "TokenRefused",
    "Tokens",
    "TooLarge",
    "Unavailable",
    "UnexpectedAnswer",
    "User",
    "WrongCredentials",
]
