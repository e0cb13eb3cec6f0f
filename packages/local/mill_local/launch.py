"""The first program of every child: takes on the child's identity, ties its life to the supervisor's, becomes the child.

`mill_local.process` runs this file by path, so that nothing of ours is imported and no `preexec_fn` runs in a threaded parent.
Usage: `launch.py PARENT_PID DEATH_SIGNAL UID GID CWD PROGRAM ARGUMENT…` (UID and GID are -1 to stay who we are).
The order matters: as root, the folder is entered before privileges are dropped, and the death signal is asked for after the
drop, which clears it.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, death_signal, uid, gid = (int(word) for word in sys.argv[1:5])
    os.chdir(sys.argv[5])
    if gid >= 0:
        os.setgroups([])
        os.setgid(gid)
    if uid >= 0:
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        sys.exit("the supervisor ended before its child began")
    os.execv(sys.argv[6], sys.argv[6:])  # noqa: S606 - the argument list comes from our own supervisor


if __name__ == "__main__":
    main()
