"""Streams a file into a multipart form, telling how far it is. Memory stays flat whatever the file's size."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

Progress = Callable[[int, int | None], None]
"""Called with the bytes sent so far and the total, where it is known."""


class Counted:
    """A readable file that reports what has been read; httpx takes its size from `fileno` or by seeking."""

    def __init__(self, stream: IO[bytes], progress: Progress, total: int | None) -> None:
        self._stream = stream
        self._progress = progress
        self._total = total
        self._sent = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._sent += len(chunk)
        if chunk:
            self._progress(self._sent, self._total)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        self._sent = 0
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


@dataclass(frozen=True)
class Source:
    """What to upload: a path, or an open binary file with a name."""

    name: str
    total: int | None
    opened: AbstractContextManager[IO[bytes]]

    @classmethod
    def of(cls, file: str | Path | IO[bytes], name: str | None) -> "Source":
        if isinstance(file, (str, Path)):
            path = Path(file)
            return cls(name or path.name, path.stat().st_size, path.open("rb"))
        own_name = getattr(file, "name", None)
        return cls(
            name or (Path(own_name).name if isinstance(own_name, str) else "upload.csv"), None, nullcontext(file)
        )


def quiet(_sent: int, _total: int | None) -> None:
    """The progress of an upload that nobody watches."""
