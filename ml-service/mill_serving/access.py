"""Who calls: an API key by its hash in the snapshot, or an access token by the control plane's public key.

The engine asks once a request; no look-up leaves the process.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from mill_contracts.routing import Revocation
from mill_contracts.tokens import ACCESS_JWT_TYPE, ALGORITHM, API_KEY_PREFIX, AUDIENCE, ISSUER, LONGEST_SECONDS, Role

from mill_serving.errors import CredentialsRefused
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_serving.targets import Principal

_MOST_TOKENS = 10_000
_LONGEST_SECRET = 8192
_MANAGERS = frozenset({Role.DATA_SCIENTIST.value, Role.ADMIN.value})
_CLAIMS = ["iss", "aud", "sub", "tid", "iat", "exp"]


@dataclass
class Access:
    """`identify` is called once a request. Verified tokens are remembered by hash until they expire.

    `before_verifying` may refuse a caller whose tokens were wrong too often: to verify one costs a thousand look-ups.
    """

    keeper: SnapshotKeeper
    token_key: Ed25519PublicKey | None
    clock: Callable[[], float] = time.time
    before_verifying: Callable[[], None] | None = None
    _tokens: dict[bytes, Principal] = field(default_factory=dict[bytes, Principal])

    def identify(self, secret: str) -> Principal:
        """Raises `CredentialsRefused`; `NoSnapshot` or `SnapshotTooOld` where keys cannot be checked."""
        if len(secret) > _LONGEST_SECRET:
            raise CredentialsRefused("the credentials are too long")
        if secret.startswith(API_KEY_PREFIX):
            return self._by_key(secret)
        return self._by_token(secret)

    def _by_key(self, secret: str) -> Principal:
        self.keeper.check()
        digest = hashlib.sha256(secret.encode()).hexdigest()
        principal = self.keeper.in_force.keys.get(digest) if self.keeper.in_force else None
        if principal is None or not hmac.compare_digest(principal.key_sha256, digest):
            raise CredentialsRefused("this API key is unknown or was revoked")
        if principal.expires_at <= self.clock():
            raise CredentialsRefused("this API key has expired; make a new one")
        return principal

    def _by_token(self, token: str) -> Principal:
        digest = hashlib.sha256(token.encode()).digest()
        principal = self._tokens.get(digest)
        if principal is None:
            if self.before_verifying is not None:
                self.before_verifying()
            principal = self._verified(token)
            if len(self._tokens) >= _MOST_TOKENS:
                self._tokens.clear()
            self._tokens[digest] = principal
        if principal.expires_at <= self.clock():
            self._tokens.pop(digest, None)
            raise CredentialsRefused("the access token has expired; refresh it")
        if self.keeper.in_force is not None:
            for revoked in self.keeper.in_force.revocations.get(principal.user_id, ()):
                if _is_of(revoked, principal):
                    raise CredentialsRefused("the access token was revoked; refresh it, or sign in again")
        return principal

    def _verified(self, token: str) -> Principal:
        if self.token_key is None:
            raise CredentialsRefused("access tokens are not accepted here; use an API key")
        try:
            document = jwt.decode_complete(
                token,
                self.token_key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": _CLAIMS},
            )
            if not hmac.compare_digest(str(document["header"].get("typ", "")), ACCESS_JWT_TYPE):
                raise CredentialsRefused("this is no access token")
            if document["payload"]["exp"] - document["payload"]["iat"] > LONGEST_SECONDS:
                raise CredentialsRefused("this token claims to live longer than an access token may")
            return _principal(document["payload"])
        except jwt.ExpiredSignatureError:
            raise CredentialsRefused("the access token has expired; refresh it") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise CredentialsRefused("this is neither an API key nor a valid access token") from None


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        workspace_id=UUID(claims["tid"]),
        user_id=UUID(claims["sub"]),
        key_id=None,
        may_predict=True,
        expires_at=float(claims["exp"]),
        may_manage=claims.get("role") in _MANAGERS,
        session_id=UUID(claims["sid"]) if "sid" in claims else None,
        issued_at=float(claims["iat"]),
    )


def _is_of(revoked: Revocation, token: Principal) -> bool:
    return (
        token.issued_at < revoked.at.timestamp()
        and revoked.workspace_id in (None, token.workspace_id)
        and revoked.session_id in (None, token.session_id)
    )
