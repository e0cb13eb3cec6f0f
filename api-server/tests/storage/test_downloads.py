"""What is handed out is what was acknowledged, or it does not end well."""

from pathlib import Path

import pytest
from mill_api.storage.downloads import verified
from mill_kit.store import CorruptObject
from mill_kit.store.folder import FileStore

CHUNK = 2**20


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 7])
def test_every_byte_is_handed_out(tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(256)) * (size // 256 + 1)
    store = FileStore(tmp_path)
    stored = store.put("datasets/a/b/raw", data[:size])
    assert b"".join(verified(store, stored)) == data[:size]


@pytest.mark.parametrize("place", [0, CHUNK, 2 * CHUNK + 6])
def test_a_damaged_object_is_never_handed_out_whole(tmp_path: Path, place: int) -> None:
    store = FileStore(tmp_path)
    data = bytearray(2 * CHUNK + 7)
    stored = store.put("datasets/a/b/raw", bytes(data))
    data[place] ^= 1
    (tmp_path / "datasets/a/b/raw").write_bytes(data)
    received: list[bytes] = []
    with pytest.raises(CorruptObject, match="doctor"):
        received.extend(verified(store, stored))
    assert len(b"".join(received)) < len(data)
