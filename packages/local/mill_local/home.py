"""The folder `.modelmill/`: where everything of one embedded stack lies, and who runs it now."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from mill_kit.signing import new_key_pair

from mill_local.errors import StackRuns
from mill_local.files import private_folder, write_private
from mill_local.process import started_at


@dataclass(frozen=True)
class Home:
    """Paths of one stack; all data is under `root`, so deleting it deletes everything."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def state_file(self) -> Path:
        return self.root / "stack.json"

    def folder(self, *names: str) -> Path:
        private_folder(self.root)
        return private_folder(self.root.joinpath(*names))

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def key_files(self, purpose: str) -> tuple[Path, Path]:
        """The private and the public Ed25519 key for `purpose`, made at the first call (PEM, mode 0600)."""
        private, public = self.secrets / f"{purpose}.key.pem", self.secrets / f"{purpose}.public.pem"
        if not (private.is_file() and public.is_file()):
            pair = new_key_pair()
            write_private(private, pair.private_pem)
            write_private(public, pair.public_pem)
        return private, public

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold the stack's lock; the kernel lets go of it however the holder ends. Raises `StackRuns` when it is held."""
        private_folder(self.root)
        with (self.root / "stack.lock").open("a") as lock:
            try_lock(lock)
            yield


def try_lock(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StackRuns("`modelmill status` shows it, `modelmill down` stops it") from None


@dataclass(frozen=True)
class PartState:
    """What `modelmill status` shows of one part."""

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    restarts: int = 0


@dataclass(frozen=True)
class StackState:
    """`stack.json`: how to reach the running stack. `pid` with `started` tells the supervisor from a later process of that number."""

    pid: int
    started: str
    state: str
    api_url: str
    serving_url: str
    version: int = 1
    parts: tuple[PartState, ...] = field(default=())

    def save(self, home: Home) -> None:
        write_private(home.state_file, json.dumps(asdict(self), indent=2) + "\n")

    @property
    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started


def read_state(home: Home) -> StackState | None:
    """The state as the supervisor last wrote it; None when there is none, it is unreadable, or its supervisor is gone."""
    try:
        document: dict[str, Any] = json.loads(home.state_file.read_text())
        parts = tuple(PartState(**part) for part in document.pop("parts"))
        state = StackState(**document, parts=parts)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return state if state.is_alive else None


def own_identity() -> tuple[int, str]:
    return os.getpid(), started_at(os.getpid()) or ""
