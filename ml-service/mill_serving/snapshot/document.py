"""From bytes of anywhere to a snapshot that is believed. The keeper calls it in a thread."""

from collections.abc import Mapping
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from mill_contracts.routing import Revocation, RoutingSnapshot, SignedSnapshot
from mill_contracts.tokens import Scope
from mill_kit import signing
from pydantic import ValidationError

from mill_serving.errors import InvalidSnapshot
from mill_serving.targets import Principal

MAX_SNAPSHOT_BYTES = 256 * 2**20

TrustedKeys = dict[str, Ed25519PublicKey]


def read_snapshot(data: bytes, trusted: TrustedKeys) -> RoutingSnapshot:
    """Raises `InvalidSnapshot`, or `UntrustedSignature` when no configured key signed it."""
    if len(data) > MAX_SNAPSHOT_BYTES:
        raise InvalidSnapshot(f"{len(data):,} bytes are too many for a snapshot")
    try:
        signed = SignedSnapshot.model_validate_json(data)
        signing.verify(signed.payload, signed.signature, signed.key_id, trusted)
        return RoutingSnapshot.model_validate_json(signed.payload)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise InvalidSnapshot(f"{where or 'document'}: {first['msg']}") from None


def api_key_table(snapshot: RoutingSnapshot) -> Mapping[str, Principal]:
    """Who holds the key with this sha256 (hex)."""
    return {
        entry.sha256: Principal(
            workspace_id=entry.workspace_id,
            user_id=entry.user_id,
            key_id=entry.key_id,
            may_predict=Scope.PREDICT in entry.scopes,
            models=_models(entry.models),
            expires_at=entry.expires_at.timestamp() if entry.expires_at else float("inf"),
            key_sha256=entry.sha256,
            may_manage=Scope.WRITE in entry.scopes,
        )
        for entry in snapshot.api_keys
    }


def revocations_by_user(snapshot: RoutingSnapshot) -> Mapping[UUID, tuple[Revocation, ...]]:
    found: dict[UUID, tuple[Revocation, ...]] = {}
    for revocation in snapshot.revocations:
        found[revocation.user_id] = (*found.get(revocation.user_id, ()), revocation)
    return found


def _models(chosen: tuple[UUID, ...]) -> frozenset[str] | None:
    return frozenset(str(model) for model in chosen) if chosen else None
