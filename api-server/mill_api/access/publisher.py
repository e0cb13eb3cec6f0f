"""What access tells the publication of routes: keys or memberships changed. Implemented above, given at the composition root."""

from typing import Protocol

from mill_api.db import UnitOfWork


class Publisher(Protocol):
    async def changed(self, work: UnitOfWork) -> None:
        """Called inside the transaction of the change, so that the next snapshot holds it."""
        ...
