"""Forged, foreign and worn-out access tokens are refused, whatever they claim."""

import base64
import json
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mill_api.access.errors import InvalidToken
from mill_api.access.tokens import TokenSigner
from mill_contracts.ids import UserId, WorkspaceId
from mill_contracts.tokens import ACCESS_JWT_TYPE, AUDIENCE, ISSUER, Role
from mill_kit.signing import public_pem

KEY = Ed25519PrivateKey.generate()
SIGNER = TokenSigner(KEY, 60)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    plain = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(uuid4()),
        "tid": str(uuid4()),
        "role": "admin",
        "jti": "x",
        "sid": str(uuid4()),
    }
    return {key: value for key, value in (plain | {"iat": now, "exp": now + 60} | changes).items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "EdDSA", typ: str = ACCESS_JWT_TYPE, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"typ": typ})


def unsigned(algorithm: str) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': ACCESS_JWT_TYPE})}.{part(claims())}."


def test_a_token_says_who_and_where() -> None:
    user, workspace = UserId(uuid4()), WorkspaceId(uuid4())
    principal = SIGNER.read(SIGNER.issue(user, workspace, Role.DATA_SCIENTIST, uuid4()))
    assert (principal.user_id, principal.workspace_id, principal.role) == (user, workspace, Role.DATA_SCIENTIST)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        "x" * 1_000_000,
        unsigned("none"),
        unsigned("EdDSA"),
        signed(Ed25519PrivateKey.generate()),
        signed(public_pem(KEY.public_key()).replace("-", "_"), "HS256"),
        signed(typ="JWT"),
        signed(typ="rt+jwt"),
        signed(iss="somebody else"),
        signed(aud="another service"),
        signed(exp=int(time.time()) - 1),
        signed(exp=None),
        signed(sub=None),
        signed(sub="not an id"),
        signed(tid=None),
        signed(role="owner"),
        signed(iat=int(time.time()) + 3600),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.read(token)
