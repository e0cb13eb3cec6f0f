"""API keys that were looked up a moment ago. Asked by the dependencies of every request that brings a key.

A look-up costs a transaction, and the requests of one key come by the hundred: those that come together share one look-up, and
its answer holds for half a second. That a key lost its right is known at once where it happened, and elsewhere when the
answer has run out: within the second that a revocation may take.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from mill_api.access.principal import Principal
from mill_api.access.recognise import note_use, owner_of_key, sha256_of
from mill_api.db import Database
from mill_api.db.presence import in_any_case

HOLDS_SECONDS = 0.5
_MOST_KEYS = 10_000


@dataclass
class KnownKeys:
    """Keeps hashes, never keys; the `_MOST_KEYS` looked up last."""

    database: Database
    system: Database
    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[str, tuple[Principal, float]] = field(
        default_factory=OrderedDict[str, tuple[Principal, float]], init=False
    )
    _asking: dict[str, asyncio.Task[Principal]] = field(default_factory=dict[str, asyncio.Task[Principal]], init=False)
    _forgotten: int = field(default=0, init=False)

    async def principal(self, secret: str) -> Principal:
        """Whose key it is, or `InvalidApiKey`. What is not a key is asked for anew each time."""
        digest = sha256_of(secret)
        principal, until = self._known.get(digest, (None, 0.0))
        if principal is not None and self.clock() < until:
            return principal
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._look_up(secret, digest), context=in_any_case())
            self._asking[digest] = asking
            asking.add_done_callback(lambda done: self._answered(digest, done))
        return await asyncio.shield(asking)

    def forget(self) -> None:
        """A right was taken away: whoever asks from now on is told what is true now."""
        self._forgotten += 1
        self._known.clear()
        self._asking.clear()

    async def _look_up(self, secret: str, digest: str) -> Principal:
        forgotten = self._forgotten
        owner = await owner_of_key(self.system, secret)
        holds = min(HOLDS_SECONDS, owner.seconds_left)
        if forgotten == self._forgotten and holds > 0:
            self._known[digest] = (owner.principal, self.clock() + holds)
            self._known.move_to_end(digest)
            while len(self._known) > _MOST_KEYS:
                self._known.popitem(last=False)
        await note_use(self.database, owner)
        return owner.principal

    def _answered(self, digest: str, done: asyncio.Task[Principal]) -> None:
        if self._asking.get(digest) is done:
            del self._asking[digest]
        if not done.cancelled():
            done.exception()  # whoever waited was told; a client that left was not, and need not be
