"""The engine with limits on how often one may ask. The composition root makes it where a limit is set; without one nothing here runs."""

from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from mill_serving.connection import Headers, HotAnswer, HotConnection, class_for
from mill_serving.engine import Engine
from mill_serving.errors import CredentialsRefused
from mill_serving.limits import SENDER, Limiter
from mill_serving.targets import Principal, Target


@dataclass(frozen=True, kw_only=True)
class LimitedEngine(Engine):
    """Whoever finds a model takes a token; who brings a wrong key takes one from the address's bucket."""

    limiter: Limiter = field(kw_only=True)

    def find(self, name: str, secret: str | None) -> Target:
        limiter = self.limiter
        limiter.caller = None
        target = super().find(name, secret)
        limiter.take()
        return target

    def _caller(self, secret: str | None, fallback: Target | None) -> Principal | None:
        try:
            caller = super()._caller(secret, fallback)
        except CredentialsRefused:
            self.limiter.blame()
            raise
        self.limiter.caller = caller
        return caller


class KnownSender:
    """Pure ASGI. Tells the limiter where a request comes from that is answered in a task of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            SENDER.set((client[0] if client else "", scope["headers"]))
        await self._app(scope, receive, send)


def limited_class(answer: HotAnswer, limiter: Limiter) -> type[HotConnection]:
    """As `class_for`, for connections that tell the limiter who is at their other end."""

    def told(
        connection: HotConnection, path: bytes, headers: Headers, body: bytes
    ) -> tuple[bytes, bytes, bytes] | None:
        peer = connection.client
        return limiter.at_once(answer, peer[0] if peer else "", path, headers, body)

    return type("LimitedConnection", (class_for(answer),), {"answer": told})
