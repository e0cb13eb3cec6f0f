"""Packages published as the control plane would: an object store, a signed routing snapshot, one API key. For ml-service alone."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from mill_contracts.ids import new_id
from mill_contracts.routing import ApiKeyEntry, Route, RoutingSnapshot, SignedSnapshot, snapshot_object_key
from mill_kit import signing
from mill_kit.store.folder import FileStore

SECRET = "mm_benchmark_" + "0" * 40


@dataclass(frozen=True)
class Published:
    name: str
    model_id: str
    version_id: str
    package: Path


def publish(folder: Path, packages: Sequence[Published]) -> None:
    """Fills `folder/objects` and writes the key files beside it."""
    store, pair = FileStore(folder / "objects"), signing.new_key_pair()
    (folder / "public.pem").write_text(pair.public_pem)
    (folder / "private.pem").write_text(pair.private_pem)
    key = signing.load_private_key(folder / "private.pem")
    workspace = new_id()
    routes: list[Route] = []
    for one in packages:
        info = store.put_file(f"models/{one.version_id}/benchmark/model.mill", one.package)
        routes.append(
            Route.model_validate(
                {
                    "model_id": one.model_id,
                    "model_version_id": one.version_id,
                    "workspace_id": workspace,
                    "name": one.name,
                    "version": 1,
                    "object_key": info.key,
                    "sha256": info.sha256,
                    "size": info.size,
                }
            )
        )
    entry = ApiKeyEntry(
        key_id=new_id(),
        workspace_id=workspace,
        user_id=new_id(),
        sha256=sha256(SECRET.encode()).hexdigest(),
        scopes=("predict",),
    )
    snapshot = RoutingSnapshot(number=1, issued_at=datetime.now(UTC), routes=tuple(routes), api_keys=(entry,))
    text = snapshot.model_dump_json()
    signed = SignedSnapshot(key_id=signing.key_id(key.public_key()), payload=text, signature=signing.sign(text, key))
    store.put(snapshot_object_key(1), signed.model_dump_json().encode())


def environment(folder: Path, replica: str = "one") -> Mapping[str, str]:
    """Of an ml-service that serves what was published into `folder`; everything else as it comes."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MILL_")},
        "MILL_STORE__URL": f"file://{folder / 'objects'}",
        "MILL_PUBLISH__PUBLIC_KEY_FILE": str(folder / "public.pem"),
        "MILL_SERVING__CACHE_DIR": str(folder / f"serving-{replica}"),
        "MILL_SERVING__REPLICA": replica,
        "MILL_SERVING__DRAIN_SECONDS": "0",
    }
