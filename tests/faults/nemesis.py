"""Harms a cluster again and again, in an order that its seed decides, and writes down what it did."""

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mill_local.errors import StackProblem
from redis import RedisError

from tests.faults.cluster import Cluster
from tests.faults.history import ClientLog

Fault = Callable[[Cluster, random.Random, threading.Event], str]


class NothingHarmedError(Exception):
    """There was nothing this fault could strike: it does not count as made."""


def kill_a_part(cluster: Cluster, chance: random.Random, _stop: threading.Event) -> str:
    part = chance.choice(("api-server", "worker-ml", "worker-data", "ml-service", "postgres", "broker", "cache"))
    return f"kill -9 {part} ({cluster.kill(part)})"


def freeze_a_worker(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    """Past its lease, so that it wakes up as a zombie."""
    part = chance.choice(("worker-ml", "worker-data"))
    pid = cluster.freeze(part)
    stop.wait(chance.uniform(7, 10))
    cluster.thaw()
    return f"freeze {part} ({pid}) past its lease"


def freeze_a_part(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    part = chance.choice(("api-server", "postgres", "broker", "cache", "ml-service"))
    pid = cluster.freeze(part)
    stop.wait(chance.uniform(0.5, 4))
    cluster.thaw()
    return f"freeze {part} ({pid}) for a moment"


def kill_a_trainer(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    """As a segmentation fault, or as the kernel does when memory is out."""
    for _ in range(30):
        trainers = sorted(cluster.trainers())
        if trainers:
            which = chance.choice((signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT))
            pid = chance.choice(trainers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
            return f"{which.name} to trainer {pid}"
        stop.wait(0.05)
    raise NothingHarmedError("no trainer to kill")


def flush(cluster: Cluster, chance: random.Random, _stop: threading.Event) -> str:
    name = chance.choice(("broker", "cache"))
    cluster.flush(name)
    return f"FLUSHALL {name}"


def bad_line(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    """The network between a server and those who use it."""
    name = chance.choice(sorted(cluster.proxies))
    proxy = cluster.proxies[name]
    kind = chance.choice(("reset", "cut", "delay", "slice", "silent", "refuse"))
    if kind == "reset":
        return f"reset {proxy.reset()} connections to {name}"
    if kind == "cut":
        return f"cut {proxy.cut()} connections to {name}"
    if kind == "delay":
        proxy.weather.delay = chance.uniform(0.02, 0.3)
    elif kind == "slice":
        proxy.weather.slice_bytes = chance.randint(1, 40)
    elif kind == "silent":
        proxy.weather.silent = True
    else:
        proxy.weather.refuse = True
        proxy.reset()
    stop.wait(chance.uniform(1, 5))
    proxy.weather.clear()
    return f"{kind} on the line to {name}"


def full_disk(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    """The part may write no byte into any file for a while."""
    part = chance.choice(("api-server", "worker-data", "worker-ml"))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        cluster.limit_files(part, 0)
        stop.wait(chance.uniform(1, 4))
        cluster.limit_files(part, None)
    return f"no space for {part}"


def jump_clock(cluster: Cluster, chance: random.Random, stop: threading.Event) -> str:
    """The services' clocks, by seconds or hours, ahead or back, and right again after a while."""
    seconds = chance.choice((-1, 1)) * chance.choice((20, 90, 3600, 6 * 3600))
    if not cluster.set_clock(seconds):
        raise NothingHarmedError("libfaketime is not installed")
    stop.wait(chance.uniform(2, 6))
    cluster.set_clock(0)
    return f"the clock jumps by {seconds} s and back"


EVERYTHING: Mapping[Fault, int] = {
    kill_a_part: 6,
    freeze_a_worker: 4,
    freeze_a_part: 2,
    kill_a_trainer: 4,
    flush: 2,
    bad_line: 5,
    full_disk: 1,
    jump_clock: 1,
}


@dataclass
class Nemesis:
    """`run` in a thread until `stop`; `pause` are the shortest and longest seconds between two faults."""

    cluster: Cluster
    chance: random.Random
    log: ClientLog
    pause: tuple[float, float] = (2.0, 6.0)
    faults: Mapping[Fault, int] = field(default_factory=lambda: EVERYTHING)
    done: Counter[str] = field(default_factory=Counter[str])
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        kinds: Sequence[Fault] = list(self.faults)
        while not self.stop.wait(self.chance.uniform(*self.pause)):
            fault = self.chance.choices(kinds, [self.faults[kind] for kind in kinds])[0]
            try:
                what = fault(self.cluster, self.chance, self.stop)
                self.done[fault.__name__.replace("_", " ")] += 1
            except (OSError, TimeoutError, RedisError, StackProblem, NothingHarmedError) as error:
                what = f"{fault.__name__} was not possible: {error!r}"
            self.log.fault(what)
        self.cluster.heal()
