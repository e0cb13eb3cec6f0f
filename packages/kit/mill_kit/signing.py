"""Ed25519 for the two things the control plane signs: access tokens and routing snapshots. Private keys never leave its process."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mill_kit.problems import Problem


class UntrustedSignature(Problem):
    slug = "untrusted-signature"
    title = "The signature is not of a trusted key"


@dataclass(frozen=True)
class KeyPair:
    """PEM texts: PKCS#8 private key, SubjectPublicKeyInfo public key."""

    private_pem: str
    public_pem: str


def new_key_pair() -> KeyPair:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(private.decode(), public_pem(key.public_key()))


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises `ValueError` when the file holds anything but an Ed25519 private key."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 private key")  # noqa: TRY004 - the file is wrong, not the type of an argument
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Raises `ValueError` when the file holds anything but an Ed25519 public key."""
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path} holds no Ed25519 public key")  # noqa: TRY004 - the file is wrong, not the type of an argument
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """A short name of a public key: the first 16 hex digits of the sha256 of its raw bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def sign(payload: str, key: Ed25519PrivateKey) -> str:
    """The signature over the UTF-8 bytes of `payload`, base64."""
    return base64.b64encode(key.sign(payload.encode())).decode()


def verify(payload: str, signature: str, signer: str, trusted: dict[str, Ed25519PublicKey]) -> None:
    """Raises `UntrustedSignature` unless `signature` is of the trusted key named `signer` over `payload`."""
    key = trusted.get(signer)
    if key is None:
        raise UntrustedSignature(f"no trusted key is named {signer[:32]!r}")
    try:
        key.verify(base64.b64decode(signature, validate=True), payload.encode())
    except (InvalidSignature, ValueError):
        raise UntrustedSignature("the payload was not signed by the key it names") from None
