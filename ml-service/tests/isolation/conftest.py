"""Uploaded models for the tests of isolation, and a program that crashes for real when a row tells it to."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mill_serving.isolation.records import CrashRecords
from mill_serving.isolation.ward import Bounds, Ward

CRASHING = '''
"""The product's own program, but for rows whose first number says how to misbehave."""
import ctypes, os, socket, sys
import numpy as np
from mill_serving.isolation import child

def misbehave(engine, verb, matrix):
    what = matrix[0, 0]
    if what == -1.0:
        ctypes.string_at(0)
    elif what == -2.0:
        while True:
            pass
    elif what == -3.0:
        kept = []
        while True:
            kept.append(np.ones(1 << 20))
    elif what == -4.0:
        os.write(0, b"this is no frame at all, and longer than one")
    elif what == -5.0:
        return np.zeros((1, 7))
    elif what == -6.0:
        os.abort()
    elif what == -7.0:
        raise RuntimeError("a bug")
    elif what == -8.0:
        os.close(0)
    elif what == -9.0:
        socket.socket()
    elif what == -10.0:
        os.execv("/bin/sh", ["sh", "-c", "true"])
    elif what == -11.0:
        os.open("/tmp/escaped", os.O_WRONLY | os.O_CREAT)
    elif what == -12.0:
        os.kill(os.getppid(), 9)
    elif what == -13.0:
        os.open("/etc/passwd", os.O_RDONLY)
    elif what == -14.0:
        os.fork()
    return good(engine, verb, matrix)

good, child._computed = child._computed, misbehave
os._exit(child.main(sys.argv[1:]))
'''

MakeWard = Callable[..., Ward]


@pytest.fixture(scope="session")
def crashing(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What to run as a process: -1 dereferences null, -2 hangs, -3 eats memory, -4 to -8 speak nonsense or fail, the others reach out."""
    path = tmp_path_factory.mktemp("program") / "crashing.py"
    path.write_text(CRASHING)
    return (sys.executable, "-I", str(path))


@pytest.fixture
def make_ward(crashing: tuple[str, ...]) -> Iterator[MakeWard]:
    """A ward whose processes can crash; its processes end with the test."""
    made: list[Ward] = []

    def make(
        crashes: int = 3, window: float = 600.0, clock: Callable[[], float] | None = None, **bounds: float
    ) -> Ward:
        records = CrashRecords(crashes, window, clock) if clock else CrashRecords(crashes, window)
        made.append(Ward(Bounds(**{"seconds": 5.0, **bounds}), records, crashing))  # pyright: ignore[reportArgumentType]
        return made[-1]

    yield make
    for ward in made:
        ward.close()


@pytest.fixture
def package(build: Callable[..., object]) -> Path:
    """An uploaded model's."""
    return build("tumours", uploaded=True).path  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
