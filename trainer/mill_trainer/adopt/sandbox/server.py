"""The prepared process: it loads one framework's libraries, then forks a child for each request and tells how it went.

A request is one file, or (in tests of many thousand) several that one child reads one after the other.

`python -I -m mill_trainer.adopt.sandbox.server FRAMEWORK`, started by `client` alone; requests on standard input, answers on
standard output. Only the forked children see a byte from outside, after they have locked themselves in. What a child answers
is passed on unread.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from itertools import accumulate
from typing import Any

from mill_contracts.adoption import ModelFramework
from mill_kit.confinement.confine import Bounds, confine, die_with_parent
from mill_kit.confinement.frames import FrameCut, FrameLate, receive, send

from mill_trainer.adopt.room import answer, prepare

_REQUESTS, _ANSWERS = 0, 1


def main(arguments: list[str]) -> int:
    """Serve until the client closes its end."""
    framework = ModelFramework(arguments[0])
    die_with_parent()
    answers = os.dup(_ANSWERS)
    os.dup2(2, _ANSWERS)  # what a library prints is not an answer
    prepare(framework)
    gc.collect()
    gc.freeze()  # the children share these pages as long as nobody counts on them
    send(answers, {"ready": True})
    while True:
        try:
            head, body = receive(_REQUESTS)
        except FrameCut:
            return 0
        _serve(answers, framework, head, body)


def _serve(answers: int, framework: ModelFramework, head: dict[str, Any], body: bytes) -> None:
    """An answer for every file of the request; a child that ends early is replaced for the files it did not come to."""
    files = [body[at : at + size] for at, size in _places(head["sizes"])]
    done = 0
    while done < len(files):
        done += _in_a_child(answers, framework, head, files[done:])


def _in_a_child(answers: int, framework: ModelFramework, head: dict[str, Any], files: list[bytes]) -> int:
    """How many were answered, the one that ended the child among them."""
    seconds = float(head["seconds"])
    bounds = Bounds(int(head["memory_bytes"]), seconds * len(files))
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        _be_the_child(told, framework, str(head["verb"]), files, bounds)
    os.close(told)
    answered = 0
    late = False
    try:
        while answered < len(files):
            said, content = receive(heard, time.monotonic() + seconds)
            send(answers, {"said": said}, content)
            answered += 1
    except FrameLate:
        late = True
    except FrameCut:
        pass
    os.close(heard)
    status = _end(child)
    if answered < len(files):
        ending = {
            "late": late,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        }
        send(answers, {"ending": ending})
    return answered + 1


def _places(sizes: list[int]) -> list[tuple[int, int]]:
    """Where each file begins in the body, and how long it is."""
    starts = [0, *accumulate(sizes)]
    return list(zip(starts, sizes, strict=False))


def _end(child: int) -> int:
    """The child's status; one that has answered, or did not in time, is killed with its group."""
    for _ in range(50):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _be_the_child(told: int, framework: ModelFramework, verb: str, files: list[bytes], bounds: Bounds) -> None:
    """Never returns."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.dup2(told, 3)
        os.closerange(4, 256)
        confine(bounds)
        for content in files:
            send(3, *answer(framework, verb, content))
        status = 0
    except MemoryError:
        status = 2
    except BaseException:
        status = 3
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
