"""Access tokens that are wrong in one way each, made with the installation's own signing key where that is the point."""

# The algorithms of PyJWT are partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from mill_contracts.tokens import ACCESS_JWT_TYPE, AUDIENCE, ISSUER
from mill_kit.signing import key_id, load_private_key, public_pem

HOUR = 3600


@dataclass(frozen=True)
class Forger:
    """Knows the real key, which no attacker does: so a refusal is due to what is wrong, not to the signature."""

    key: Ed25519PrivateKey
    user: str
    workspace: str
    session: str

    @classmethod
    def of(cls, key_file: Path, token: str) -> "Forger":
        """Forges what resembles `token`."""
        claims: dict[str, str] = jwt.decode(token, options={"verify_signature": False})
        return cls(load_private_key(key_file), claims["sub"], claims["tid"], claims["sid"])

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        plain: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.user,
            "tid": self.workspace,
            "role": "admin",
            "sid": self.session,
            "iat": now,
            "exp": now + 600,
            "jti": uuid4().hex,
        }
        return {name: value for name, value in {**plain, **changes}.items() if value is not None}

    def headers(self, **changes: Any) -> dict[str, Any]:
        return {"typ": ACCESS_JWT_TYPE, "kid": key_id(self.key.public_key()), **changes}

    def token(
        self, headers: dict[str, Any] | None = None, key: Any = None, algorithm: str = "EdDSA", **claims: Any
    ) -> str:
        return jwt.encode(
            self.claims(**claims), key or self.key, algorithm=algorithm, headers=self.headers(**(headers or {}))
        )

    def raw(self, headers: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
        """Any header and any claims, signed by `sign`; libraries refuse to make some of these."""
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (headers, claims))
        return (signed + b"." + _encoded(sign(signed))).decode()

    def confused(self) -> dict[str, str]:
        """One token per trick."""
        public = public_pem(self.key.public_key()).encode()
        other = Ed25519PrivateKey.generate()
        rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
        jwk = json.loads(OKPAlgorithm.to_jwk(other.public_key()))
        made = {
            "no algorithm": self.raw(self.headers(alg="none"), self.claims(), lambda _: b""),
            "NONE": self.raw(self.headers(alg="NONE"), self.claims(), lambda _: b""),
            "no alg header": self.raw(self.headers(), self.claims(), self.key.sign),
            "none with our signature": self.raw(self.headers(alg="none"), self.claims(), self.key.sign),
            "HS256 by the public PEM": self._hmac(public, "HS256"),
            "HS512 by the public PEM": self._hmac(public, "HS512", hashlib.sha512),
            "HS256 by the raw public key": self._hmac(self.key.public_key().public_bytes_raw(), "HS256"),
            "HS256 by nothing": self._hmac(b"", "HS256"),
            "RS256": self.token(key=rsa_key, algorithm="RS256"),
            "ES256": self.token(key=ec_key, algorithm="ES256"),
            "another Ed25519 key": self.token(key=other),
            "embedded jwk": self.token({"jwk": jwk}, key=other),
            "jku": self.token({"jku": "http://127.0.0.1:9/keys"}, key=other),
            "x5u": self.token({"x5u": "http://127.0.0.1:9/cert"}, key=other),
            "kid is a path": self.token({"kid": "../../../../dev/null"}, key=other),
            "kid is SQL": self.token({"kid": "' OR 1=1 --"}, key=other),
            "crit": self.raw(self.headers(alg="EdDSA", crit=["mill"], mill=1), self.claims(), self.key.sign),
            "b64 false": self.raw(self.headers(alg="EdDSA", b64=False, crit=["b64"]), self.claims(), self.key.sign),
            "encrypted, not signed": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
            "a megabyte": self.token(padding="x" * 2**20),
            "a megabyte of dots": "." * 2**20,
            "a deep claim": self.raw(self.headers(alg="EdDSA"), {"a": _nested(900)}, self.key.sign),
            "a deep header": ".".join(_encoded(part).decode() for part in (b"[" * 1400 + b"]" * 1400, b"{}", b"sig")),
            "claims are a list": self.raw(self.headers(alg="EdDSA"), [1, 2], self.key.sign),
            "header is a list": f"{_encoded(b'[]').decode()}.{_encoded(b'{}').decode()}.AAAA",
        }
        good = self.token()
        head, body, signature = good.split(".")
        made |= {
            "no signature": f"{head}.{body}.",
            "cut signature": good[:-4],
            "two parts": f"{head}.{body}",
            "four parts": f"{good}.{signature}",
            "other claims, old signature": f"{head}.{_encoded(json.dumps(self.claims(role='admin')).encode()).decode()}.{signature}",
            "a NUL inside": f"{head}.{body}\x00.{signature}",
        }
        return made | self.wrong_claims()

    def wrong_claims(self) -> dict[str, str]:
        """Signed by the right key, and yet no access token of ours."""
        now = int(time.time())
        plain: dict[str, dict[str, Any]] = {
            "plain JWT type": {"headers": {"typ": "JWT"}},
            "refresh type": {"headers": {"typ": "rt+jwt"}},
            "no type": {"headers": {"typ": None}},
            "other audience": {"aud": "somebody-else"},
            "no audience": {"aud": None},
            "other issuer": {"iss": "https://evil.example"},
            "no issuer": {"iss": None},
            "issuer as a list": {"iss": [ISSUER]},
            "expired": {"iat": now - HOUR, "exp": now - 1},
            "never expires": {"exp": None},
            "expiry as text": {"exp": "tomorrow"},
            "expiry beyond all times": {"exp": 10**400},
            "valid for a day": {"exp": now + 24 * HOUR},
            "not yet valid": {"nbf": now + HOUR},
            "issued tomorrow": {"iat": now + 24 * HOUR},
            "no subject": {"sub": None},
            "subject is no id": {"sub": "admin"},
            "no workspace": {"tid": None},
            "workspace is no id": {"tid": "'; DROP TABLE users; --"},
            "workspace is a number": {"tid": 7},
        }
        return {name: self._wrong(**changes) for name, changes in plain.items()}

    def _wrong(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        given = {name: value for name, value in {**self.headers(alg="EdDSA"), **(headers or {})}.items() if value}
        return self.raw(given, self.claims(**claims), self.key.sign)

    def _hmac(self, secret: bytes, algorithm: str, digest: Any = hashlib.sha256) -> str:
        return self.raw(
            self.headers(alg=algorithm), self.claims(), lambda data: hmac.new(secret, data, digest).digest()
        )


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value
