"""What is known of a request's sender before and after the database is asked. The edge makes it, `me` completes it."""

from dataclasses import dataclass

import structlog
from starlette.types import Scope

from mill_api.access.principal import Principal

CALLER = "mill.caller"
"""Where it lies in the ASGI scope."""


@dataclass
class Caller:
    """`key` is the hash of an API key; `user` and `tenant` are None for strangers. `principal` is set for a key that was let in."""

    address: str
    user: str | None = None
    key: str | None = None
    tenant: str | None = None
    principal: Principal | None = None


def tell_edge(scope: Scope, principal: Principal) -> None:
    """An API key was let in: the edge may remember whose it is, and log lines say so."""
    caller: Caller | None = scope.get(CALLER)
    if caller is not None:
        caller.principal = principal
    structlog.contextvars.bind_contextvars(tenant=str(principal.workspace_id), user=str(principal.user_id))
