"""Who the command line is signed in as: a file of mode 0600, or an API key in the environment."""

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from modelmill._client import DEFAULT_URL, Client
from modelmill._tokens import Tokens


def credentials_file() -> Path:
    """`$MODELMILL_CONFIG`, else `~/.config/modelmill/credentials.json`."""
    chosen = os.environ.get("MODELMILL_CONFIG")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "modelmill" / "credentials.json"


class FileKeeper:
    """Tokens and the server they are for, in one JSON file; written whole, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Tokens | None:
        kept = self.document().get("tokens")
        try:
            return Tokens(**kept) if kept else None
        except TypeError:
            return None

    def save(self, tokens: Tokens | None) -> None:
        kept = (
            {
                "access_token": tokens.access_token,
                "refresh_token": tokens.refresh_token,
                "expires_at": tokens.expires_at,
            }
            if tokens
            else None
        )
        self.update(tokens=kept)

    def document(self) -> dict[str, Any]:
        try:
            found: object = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def update(self, **changes: Any) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({**self.document(), **changes}, stream, indent=2)
        draft.replace(self._path)


def server_url(keeper: FileKeeper, given: str | None = None) -> str:
    return given or os.environ.get("MODELMILL_URL") or keeper.document().get("url") or DEFAULT_URL


@contextmanager
def signed_in() -> Generator[Client]:
    """The client of the signed-in user, or of `$MODELMILL_API_KEY`. `$MODELMILL_SERVING_URL` sends predictions straight there."""
    keeper = FileKeeper(credentials_file())
    key = os.environ.get("MODELMILL_API_KEY")
    serving = os.environ.get("MODELMILL_SERVING_URL") or keeper.document().get("serving_url")
    with Client(server_url(keeper), api_key=key, keeper=None if key else keeper, serving_url=serving) as client:
        yield client
