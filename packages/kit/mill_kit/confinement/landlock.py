"""Landlock, where the kernel has it: no file of the machine can be opened, no TCP port reached, nobody outside be signalled.

An extra beside seccomp, which every kernel we run on has. Called by `confine`.
"""

import ctypes
import struct
from typing import Final

_CREATE, _RESTRICT = 444, 446
_VERSION_FLAG: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version of the interface knows; all of them are taken away."""
_NETWORK: Final = 0b11
_SCOPES: Final = 0b11


def version() -> int:
    """The version of the interface that this kernel offers; 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict() -> int:
    """Take everything away; the version in force, 0 where there is none. `no_new_privs` must be set."""
    offered = version()
    if not offered:
        return 0
    files = (1 << _FILE_RIGHTS[min(offered, max(_FILE_RIGHTS))]) - 1
    parts = [files]
    if offered >= 4:
        parts.append(_NETWORK)
    if offered >= 6:
        parts.append(_SCOPES)
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = int(libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    if ruleset < 0:
        return 0
    failed = libc.syscall(_RESTRICT, ruleset, 0)
    ctypes.CDLL(None).close(ruleset)
    return 0 if failed else offered
