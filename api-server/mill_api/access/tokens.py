"""Access tokens: short-lived EdDSA JWTs that ml-service checks by the public key alone (claims: `mill_contracts.tokens`)."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mill_contracts.ids import UserId, WorkspaceId
from mill_contracts.tokens import ACCESS_JWT_TYPE, ALGORITHM, AUDIENCE, ISSUER, LONGEST_SECONDS, Role
from mill_kit.signing import key_id, load_private_key

from mill_api.access.errors import InvalidToken
from mill_api.access.principal import Principal

_LONGEST_TOKEN = 4096
_CLAIMS = ["iss", "aud", "sub", "tid", "role", "iat", "exp", "jti", "sid"]


@dataclass(frozen=True)
class TokenSigner:
    key: Ed25519PrivateKey
    seconds: int

    @classmethod
    def load(cls, path: Path, seconds: int) -> "TokenSigner":
        return cls(load_private_key(path), seconds)

    def issue(self, user: UserId, workspace: WorkspaceId, role: Role, session: UUID) -> str:
        """`session` is the refresh family it came of: it ends with that."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user),
            "tid": str(workspace),
            "role": role.value,
            "sid": str(session),
            "iat": round(now, 3),  # to the millisecond: a revocation within the same second tells old from new
            "exp": int(now) + self.seconds,
            "jti": uuid4().hex,
        }
        headers = {"typ": ACCESS_JWT_TYPE, "kid": key_id(self.key.public_key())}
        return jwt.encode(claims, self.key, algorithm=ALGORITHM, headers=headers)

    def read(self, token: str) -> Principal:
        """Raises `InvalidToken` for anything but an unexpired access token of ours."""
        if len(token) > _LONGEST_TOKEN:
            raise InvalidToken
        try:
            if jwt.get_unverified_header(token).get("typ") != ACCESS_JWT_TYPE:
                raise InvalidToken
            claims: dict[str, Any] = jwt.decode(
                token,
                self.key.public_key(),
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": _CLAIMS},
            )
            if claims["exp"] - claims["iat"] > LONGEST_SECONDS:
                raise InvalidToken
            return Principal(
                UserId(UUID(claims["sub"])),
                WorkspaceId(UUID(claims["tid"])),
                Role(claims["role"]),
                session_id=UUID(claims["sid"]),
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("The access token has expired: ask for a new one with the refresh token") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise InvalidToken from None
