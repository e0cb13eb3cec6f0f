"""What a malicious pickle would do, were it ever loaded: write a file and call home. Both are watched; neither must happen.

Nothing here is stored in the repository: payloads are made while a test runs and name that test's own canaries.
"""

import bz2
import gzip
import io
import lzma
import pickle
import socket
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Canary:
    """A file that must never be, and a door nobody must knock at."""

    file: Path
    door: socket.socket

    @property
    def port(self) -> int:
        return int(self.door.getsockname()[1])

    @property
    def sang(self) -> bool:
        """Whether code has run: the file is there, or somebody connected."""
        if self.file.exists():
            return True
        try:
            self.door.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@contextmanager
def canary(folder: Path) -> Generator[Canary]:
    """Watch a folder that anybody may write to, and a port of this machine."""
    folder.chmod(0o777)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(8)
        door.setblocking(False)
        yield Canary(folder / "code-ran", door)


class _Payload:
    """Unpickling it would run Python code that sets off both canaries."""

    def __init__(self, watched: Canary) -> None:
        self.code = (
            f"open({str(watched.file)!r}, 'w').close()\n"
            f"import socket; socket.create_connection(('127.0.0.1', {watched.port}), 1)"
        )

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, (self.code,)


def pickled(watched: Canary, protocol: int) -> bytes:
    """The payload as a pickle of the protocol, 0 to 5."""
    return pickle.dumps(_Payload(watched), protocol)


def disguises(watched: Canary) -> Iterator[tuple[str, bytes]]:
    """A pickle in every protocol and wrapping that loaders look into."""
    for protocol in range(6):
        code = pickled(watched, protocol)
        yield f"protocol {protocol}", code
        wrapped = {
            "gzip": gzip.compress(code),
            "zlib": zlib.compress(code),
            "bz2": bz2.compress(code),
            "xz": lzma.compress(code),
            "lzma": lzma.compress(code, lzma.FORMAT_ALONE),
        }
        for name, data in wrapped.items():
            yield f"protocol {protocol}, {name}", data
        for entry in ("model.pkl", "model.joblib", "archive/data.pkl", "model.json", "schema.json", "1.npy"):
            yield f"protocol {protocol}, zip {entry}", zipped({entry: code})
        yield f"protocol {protocol}, object array", object_array(code)
        yield f"protocol {protocol}, npz", zipped({"a.npy": object_array(code)})


def object_array(code: bytes) -> bytes:
    """A numpy file whose items are a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + code


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return result.getvalue()
