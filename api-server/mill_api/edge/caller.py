"""Who seems to be calling, as far as the edge can know without the database. Made by `limits`, read by `tenant`.

A signed token says user and workspace. What an API key stands for is learned from a request that was let in (`me` tells it) and
remembered for a while; until then its requests count for their address, so that guessing keys costs the guesser's own bucket.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from mill_contracts.tokens import API_KEY_PREFIX
from mill_kit.http.addresses import counted_address
from starlette.types import Scope

from mill_api.access.caller import Caller
from mill_api.access.tokens import TokenSigner
from mill_api.errors import Unauthenticated

_MOST_KEYS, _KEY_SECONDS = 10_000, 300.0


@dataclass
class KeyMemory:
    """Workspace by the hash of a key that was let in a moment ago."""

    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict[str, tuple[str, float]])

    def tenant(self, key: str) -> str | None:
        tenant, until = self._known.get(key, (None, 0.0))
        return tenant if until > self.clock() else None

    def learn(self, key: str, tenant: str) -> None:
        self._known[key] = (tenant, self.clock() + _KEY_SECONDS)
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)


def caller_of(scope: Scope, tokens: TokenSigner, keys: KeyMemory) -> Caller:
    """Never raises: what is not valid is refused further in, and counted for its address here."""
    caller = Caller(address_of(scope))
    secret = _secret(scope)
    if secret.startswith(API_KEY_PREFIX):
        key = hashlib.sha256(secret.encode()).hexdigest()
        caller.key, caller.tenant = key, keys.tenant(key)
    elif secret:
        try:
            principal = tokens.read(secret)
        except Unauthenticated:
            return caller
        caller.user, caller.tenant = str(principal.user_id), str(principal.workspace_id)
    return caller


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return counted_address(client[0]) if client else "unknown"


def _secret(scope: Scope) -> str:
    """As `access.dependencies.me` finds it: the key's own header first."""
    bearer = ""
    for name, value in scope["headers"]:
        if name == b"x-api-key" and value:
            return value.decode("latin-1").strip()
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() == b"bearer":
                bearer = rest.decode("latin-1").strip()
    return bearer
