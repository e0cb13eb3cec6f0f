"""How much the workspace has of what it may have."""

from modelmill._transport import Transport, path
from modelmill._types import Usage


class UsageOf:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self) -> Usage:
        """Counted now; predictions as far as ml-service has reported today."""
        return Usage.of(self._transport.get(path("usage")))
