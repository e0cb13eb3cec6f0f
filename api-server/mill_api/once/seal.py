"""Answers lie sealed in the database: by a secret of this server together with the client's own key, which is kept as a hash."""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mill_api.once.errors import AnswerLost

_NONCE = 12


@dataclass(frozen=True)
class Seal:
    """`secret` is the key that signs tokens: it is never in the database."""

    secret: Ed25519PrivateKey

    def close(self, key: str, answer: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher(key).encrypt(nonce, answer, None)

    def open(self, key: str, sealed: bytes) -> bytes:
        """Raises `AnswerLost` when the server's key is another one now."""
        try:
            return self._cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except InvalidTag:
            raise AnswerLost("Look for what it made before you ask again with a new key") from None

    def _cipher(self, key: str) -> AESGCM:
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"mill.once\n" + key.encode())
        return AESGCM(derived.derive(self.secret.private_bytes_raw()))
