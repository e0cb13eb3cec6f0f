"""Whether anybody still waits for what a request does. The edge tells it (`edge.departures`), the pool asks it (`db.pool`).

A client that has left is worth no connection: behind a thousand of them nobody else would get one.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field

PRESENCE = "mill.presence"
"""Where it lies in the ASGI scope."""


class ClientLeft(Exception):  # noqa: N818 - named as the refusals are
    """Nobody waits for the answer any more. Nothing was begun that has to be undone."""


@dataclass
class Presence:
    """The client of one connection. Requests that want to know at once when it leaves are `watching`."""

    gone: bool = False
    _watching: set[Callable[[], None]] = field(default_factory=set[Callable[[], None]])

    def leave(self) -> None:
        self.gone = True
        for told in tuple(self._watching):
            told()

    @contextmanager
    def watching(self, told: Callable[[], None]) -> Generator[None]:
        self._watching.add(told)
        try:
            yield
        finally:
            self._watching.discard(told)


_client: ContextVar[Presence | None] = ContextVar("mill_client", default=None)


@contextmanager
def working_for(client: Presence | None) -> Generator[None]:
    """What the block does is done for `client`; for nobody in particular, and in any case, where it is None."""
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)


def in_any_case() -> Context:
    """For a task that others wait for too: this context, but its work is done whoever leaves."""
    context = copy_context()
    context.run(_client.set, None)
    return context


def require_client() -> None:
    """Raises `ClientLeft` where nobody waits."""
    client = _client.get()
    if client is not None and client.gone:
        raise ClientLeft
