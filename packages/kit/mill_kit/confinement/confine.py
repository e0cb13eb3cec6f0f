"""What a process does to itself before it looks at a byte from outside: the trainer's sandbox and ml-service's model processes do."""

import contextlib
import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mill_kit.confinement import landlock, seccomp

_NOBODY: Final = 65534
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_DUMPABLE: Final = 4
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Bounds:
    """`memory_bytes` on top of what the prepared process holds already; `seconds` of processor time, None where another counts."""

    memory_bytes: int
    seconds: float | None = None


def confine(bounds: Bounds) -> None:
    """A group of its own, no environment, hard limits, nobody's user, Landlock, seccomp. Raises `OSError`; nothing is taken back."""
    os.setpgid(0, 0)
    os.environ.clear()
    _go_first()
    _limit(bounds)
    _become_nobody()
    die_with_parent()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is not to be had")
    landlock.restrict()
    seccomp.install()


def die_with_parent() -> None:
    """The kernel ends this process when the one that made it is gone. To be said again after a change of user."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _go_first() -> None:
    """Where a machine or a container runs out of memory, the kernel ends this process before any that others need."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def _limit(bounds: Bounds) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    held = pages * os.sysconf("SC_PAGE_SIZE")
    seconds = resource.RLIM_INFINITY if bounds.seconds is None else max(1, int(bounds.seconds))
    for kind, value in (
        (resource.RLIMIT_AS, held + bounds.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 8),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        lowest = min((value, hard), key=lambda limit: float("inf") if limit == resource.RLIM_INFINITY else limit)
        resource.setrlimit(kind, (lowest, lowest))


def _become_nobody() -> None:
    """Where we may change users, as in a container that runs as root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
