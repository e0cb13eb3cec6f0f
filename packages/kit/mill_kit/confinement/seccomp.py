"""The system calls a confined process may make, as a filter the kernel enforces. Called by `confine`.

The list was measured with strace while good models of every format were read (docs/guides/uploaded-models.md). Everything that
starts programs, opens sockets, watches other processes or opens a file for writing kills the process; what is merely not
on the list fails with EPERM. To such a process there are no files (ENOENT); executable memory is not to be had.
"""

import ctypes
import os
import platform
import struct
from dataclasses import dataclass
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_KILL: Final = 0x80000000
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EPERM, _ENOENT, _ENOSYS = 1, 2, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_PROT_EXEC: Final = 4
_EMPTY_PATH: Final = 0x1000
"""Of newfstatat: it asks about a descriptor, not about a path."""
_FOR_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

ALLOWED: Final = (
    "read", "write", "close", "fstat", "lseek", "brk", "munmap", "mremap", "madvise", "futex", "sched_yield",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "clock_gettime", "clock_nanosleep", "gettimeofday",
    "getrandom", "getpid", "gettid", "getrusage", "sched_getaffinity", "restart_syscall", "exit", "exit_group",
)  # fmt: skip
FATAL: Final = (
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "recvmsg", "execve",
    "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kill", "tkill", "creat", "openat2",
    "io_uring_setup", "bpf", "userfaultfd", "perf_event_open", "mount", "umount2", "pivot_root", "chroot", "setns", "unshare",
    "init_module", "finit_module", "kexec_load", "keyctl", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link",
    "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "truncate", "ftruncate", "memfd_create", "pidfd_open", "pidfd_getfd",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """The numbers of one architecture's system calls; a call that it does not have is left out."""

    audit: int
    calls: dict[str, int]


_X86_64: Final = Machine(
    0xC000003E,
    {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "mmap": 9, "mprotect": 10,
        "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
        "madvise": 28, "getpid": 39, "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "recvmsg": 47,
        "bind": 49, "listen": 50, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "exit": 60, "kill": 62,
        "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "creat": 85, "link": 86, "unlink": 87, "symlink": 88,
        "gettimeofday": 96, "getrusage": 98, "ptrace": 101, "sigaltstack": 131, "pivot_root": 155, "chroot": 161, "mount": 165,
        "umount2": 166, "init_module": 175, "gettid": 186, "tkill": 200, "futex": 202, "sched_getaffinity": 204,
        "restart_syscall": 219, "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "kexec_load": 246,
        "keyctl": 250, "openat": 257, "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "linkat": 265,
        "symlinkat": 266, "unshare": 272, "accept4": 288, "perf_event_open": 298, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "finit_module": 313, "renameat2": 316, "getrandom": 318, "memfd_create": 319, "bpf": 321,
        "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "openat2": 437,
        "pidfd_getfd": 438,
    },
)  # fmt: skip
_AARCH64: Final = Machine(
    0xC00000B7,
    {
        "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "mkdirat": 34, "umount2": 39, "mount": 40,
        "pivot_root": 41, "truncate": 45, "ftruncate": 46, "chroot": 51, "openat": 56, "close": 57, "lseek": 62, "read": 63,
        "write": 64, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "unshare": 97, "futex": 98, "kexec_load": 104,
        "init_module": 105, "clock_gettime": 113, "clock_nanosleep": 115, "ptrace": 117, "sched_getaffinity": 123,
        "sched_yield": 124, "restart_syscall": 128, "kill": 129, "tkill": 130, "tgkill": 131, "sigaltstack": 132,
        "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
        "gettid": 178, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206,
        "sendmsg": 211, "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "keyctl": 219, "clone": 220, "execve": 221,
        "mmap": 222, "mprotect": 226, "madvise": 233, "perf_event_open": 241, "accept4": 242, "setns": 268,
        "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "renameat2": 276, "getrandom": 278,
        "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282, "io_uring_setup": 425, "pidfd_open": 434,
        "clone3": 435, "openat2": 437, "pidfd_getfd": 438,
    },
)  # fmt: skip
_MACHINES: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
_FOREIGN_TABLE: Final = 0x40000000
"""Numbers from here up are x86-64's second table, through which a filter could be walked around."""

Instruction = tuple[int, int, int, int]


class NoSeccomp(OSError):  # noqa: N818 - it names what is missing
    """This kernel or processor offers no such filter; uploaded models are refused then."""


def install() -> None:
    """Lock this process in, for good. Raises `NoSeccomp`."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise NoSeccomp(f"no filter is known for {platform.machine()}")
    code = b"".join(struct.pack("=HBBI", *one) for one in program(machine, os.getpid()))
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(head, len(head))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise NoSeccomp(ctypes.get_errno(), "no_new_privs is not to be had")
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, pointer, 0, 0):
        raise NoSeccomp(ctypes.get_errno(), "the kernel takes no filter")


def program(machine: Machine, pid: int) -> list[Instruction]:
    """The filter in the kernel's own small language; each rule ends in a verdict or falls through to the next."""
    calls = machine.calls
    rules = [*_require_machine(machine)]
    rules += [one for name in FATAL if name in calls for one in _verdict(calls[name], _KILL)]
    for name, flags in (("open", 1), ("openat", 2)):
        if name in calls:
            rules += _when_bits(calls[name], flags, _FOR_WRITING, _KILL, _ERRNO | _ENOENT)
    rules += _when_bits(calls["newfstatat"], 3, _EMPTY_PATH, _ALLOW, _ERRNO | _ENOENT)
    for name in ("mmap", "mprotect"):
        rules += _when_bits(calls[name], 2, _PROT_EXEC, _ERRNO | _EPERM, _ALLOW)
    rules += _when_same(calls["tgkill"], 0, pid, _ALLOW, _KILL)
    rules += _verdict(calls["clone3"], _ERRNO | _ENOSYS)
    rules += [one for name in ALLOWED if name in calls for one in _verdict(calls[name], _ALLOW)]
    return [*rules, (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _require_machine(machine: Machine) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FOREIGN_TABLE),
        (_RETURN, 0, 0, _KILL),
    ]


def _verdict(number: int, verdict: int) -> list[Instruction]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, verdict)]


def _when_bits(number: int, argument: int, bits: int, then: int, otherwise: int) -> list[Instruction]:
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        (_ANY_BIT, 0, 1, bits),
        (_RETURN, 0, 0, then),
        (_RETURN, 0, 0, otherwise),
    ]


def _when_same(number: int, argument: int, value: int, then: int, otherwise: int) -> list[Instruction]:
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        (_EQUAL, 0, 1, value),
        (_RETURN, 0, 0, then),
        (_RETURN, 0, 0, otherwise),
    ]
