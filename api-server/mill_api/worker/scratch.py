"""Private folders of attempts: one each, mode 700, removed however the attempt ends. Called by `worker.attempt`."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from mill_kit.logs import get_logger

from mill_api.jobs.handlers import Folders


@dataclass(frozen=True)
class Scratch:
    """`root` may be shared by workers: each has a folder of its name, which it empties when it starts."""

    root: Path
    worker: str

    def prepare(self) -> None:
        """Remove what attempts of an earlier process of this name left behind."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True, mode=0o700)

    @contextmanager
    def attempt(self, token: UUID) -> Generator[Folders]:
        home = self._home / str(token)
        folders = Folders(inputs=home / "inputs", out=home / "out", scratch=home / "scratch")
        home.mkdir(mode=0o700, parents=True)
        for folder in (folders.inputs, folders.out, folders.scratch):
            folder.mkdir()
        try:
            yield folders
        finally:
            shutil.rmtree(home, onerror=_note)

    @property
    def _home(self) -> Path:
        return (self.root / self.worker.replace(os.sep, "_")).absolute()


def _note(_function: object, path: str, _error: object) -> None:
    get_logger().warning("scratch_not_removed", path=path)
