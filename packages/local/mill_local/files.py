"""Small private files: passwords, keys, pid files. Written whole or not at all, readable by their owner alone."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write atomically: a reader sees the old file or the new one, and no other user sees either."""
    private_folder(path.parent)
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> Path:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def kept_secret(path: Path) -> str:
    """The secret in `path`; a new random one is kept there at the first call. URL-safe, 192 bits."""
    if path.is_file():
        return path.read_text().strip()
    secret = secrets.token_urlsafe(24)
    write_private(path, secret + "\n")
    return secret
