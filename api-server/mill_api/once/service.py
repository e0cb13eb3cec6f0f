"""Claiming a key and keeping its answer, both in the transaction of the work itself: there is never a row without an answer.

While one request works, a lock of PostgreSQL that ends with its transaction keeps its twins away, also when the server is killed.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from starlette.requests import Request

from mill_api.db import UnitOfWork
from mill_api.once.errors import IdempotencyKeyReused, InvalidIdempotencyKey, Replay, RequestInFlight
from mill_api.once.seal import Seal
from mill_api.once.tables import IdempotencyKeyRow

ClaimUpload = Callable[[UnitOfWork, str, int], Awaitable[None]]
"""`claim` for a body that was streamed: the transaction, the digest of what came, the size of the file."""

HEADER = "Idempotency-Key"
_FORM = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Claim:
    """A key that is ours until the transaction ends."""

    work: UnitOfWork
    seal: Seal
    tenant_id: UUID
    user_id: UUID
    key: str
    fingerprint: str

    async def keep(self, status: int, body: bytes) -> None:
        """Note the answer; it is there for others when the transaction commits."""
        self.work.session.add(
            IdempotencyKeyRow(
                tenant_id=self.tenant_id,
                user_id=self.user_id,
                key_sha256=_sha256(self.key),
                fingerprint=self.fingerprint,
                status=status,
                sealed=self.seal.close(self.key, body),
            )
        )
        await self.work.session.flush()


@dataclass(frozen=True)
class Asker:
    """Whose key it is: keys of two users never meet, nor those of a signed-in user and of the API keys they made."""

    tenant_id: UUID
    user_id: UUID
    api_key: UUID | None = None

    def own(self, key: str) -> str:
        """`key` as it is kept: an Idempotency-Key holds no line break."""
        return key if self.api_key is None else f"{self.api_key}\n{key}"


async def claim(request: Request, work: UnitOfWork, asker: Asker, seal: Seal, content: str | None = None) -> None:
    """Nothing without the header; else the key is ours, for `OnceRoute` to keep the answer.

    `content` is the digest of an upload that was streamed; otherwise the body is read. Raises `Replay` when there is an answer,
    `IdempotencyKeyReused`, `RequestInFlight`, `InvalidIdempotencyKey`.
    """
    given = _key(request)
    if given is None:
        return
    key = asker.own(given)
    fingerprint = await _fingerprint(request, content)
    known = select(IdempotencyKeyRow).where(
        IdempotencyKeyRow.user_id == asker.user_id, IdempotencyKeyRow.key_sha256 == _sha256(key)
    )
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{asker.tenant_id}\n{asker.user_id}\n{key}", 0))
    if not await work.session.scalar(select(lock)):
        raise RequestInFlight("Wait for its answer, or ask again in a moment", headers={"Retry-After": "1"})
    row = await work.session.scalar(known)
    if row is None:
        request.state.once = Claim(work, seal, asker.tenant_id, asker.user_id, key, fingerprint)
        return
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused("It was sent with another path or body before; take a new key for a new request")
    raise Replay(row.status, seal.open(key, row.sealed))


def _key(request: Request) -> str | None:
    """As a bare word, or in quotes as the IETF draft has it."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0].strip()
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if len(given) > 1 or not _FORM.fullmatch(key):
        raise InvalidIdempotencyKey(
            "Send one key of 1 to 255 visible ASCII characters, a new UUID for each new request"
        )
    return key


async def _fingerprint(request: Request, content: str | None) -> str:
    digest = content if content is not None else hashlib.sha256(await request.body()).hexdigest()
    return _sha256(f"{request.method}\n{request.url.path.rstrip('/')}\n{request.url.query}\n{digest}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
