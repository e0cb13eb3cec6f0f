"""One URL names the store: `file:///absolute/folder` or `s3://host:port/bucket?secure=false`."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mill_kit.store.folder import FileStore
from mill_kit.store.protocol import ObjectStore


def open_store(url: str, access_key: str | None = None, secret_key: str | None = None) -> ObjectStore:
    """Raises `ValueError` for a URL of another kind or S3 keys that are missing, `StoreUnavailable` where nothing answers."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
        if not access_key or not secret_key:
            raise ValueError("an S3 store needs an access key and a secret key")
        from mill_kit.store.s3 import S3Store  # the folder store needs no S3 client installed

        return S3Store.connect(url, access_key, secret_key)
    raise ValueError(f"not an object store: {parts.scheme}://… (use file:///folder or s3://host:port/bucket)")
