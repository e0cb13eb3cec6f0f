"""All processes of one server: their CPU time and memory, and how they are held while another server is measured.

A server may start daemons in sessions of their own and rename its processes, so they are known by a mark in their environment
or by their parents.
"""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = "MODELMILL_BENCH_SERVER"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Tree:
    """`root` was started with `MARK=mark` in its environment."""

    root: int
    mark: str

    def processes(self) -> set[int]:
        parents = _parents()
        wanted = f"{MARK}={self.mark}".encode()
        found = {pid for pid in parents if pid == self.root or wanted in _environment(pid)}
        ahead = set(found)
        while ahead:
            ahead = {pid for pid, parent in parents.items() if parent in ahead} - found
            found |= ahead
        return found - {os.getpid()}

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self.processes())

    def rss_mib(self) -> float:
        """Pages that processes share count in each of them."""
        return sum(_rss_mib(pid) for pid in self.processes())

    def hold(self) -> None:
        """Nobody of them runs until `let_go`."""
        self._signal_all(signal.SIGSTOP)

    def let_go(self) -> None:
        self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        """Again until no new process shows up: one may have been started meanwhile."""
        done: set[int] = set()
        while new := self.processes() - done:
            _signal(new, number)
            done |= new


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _fields(pid: int) -> list[str]:
    """After the name, which may hold anything: state, parent, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parents() -> dict[int, int]:
    """Without zombies."""
    found: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _fields(int(entry.name))
            if fields and fields[0] != "Z":
                found[int(entry.name)] = int(fields[1])
    return found


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _cpu_seconds(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _rss_mib(pid: int) -> float:
    fields = _fields(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if fields else 0.0
