"""The rounds of one model: all servers are started, then measured in turns, each for a few seconds, the others held.

Every finished measurement is appended to a file at once, so that an interrupted run can go on.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.serving import load, ours, peers
from benchmarks.serving.environments import InstallError
from benchmarks.serving.load import LoadError
from benchmarks.serving.models import Model
from benchmarks.serving.servers import Asking, Running, Server, StartError, with_headers

CONNECTIONS: Final = (1, 16, 64)
BLOCK_CONNECTIONS: Final = 4
JUDGED: Final = 64
DIFFERENT_ROWS: Final = 64
WARM_SECONDS: Final = 1

Measured = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Workload:
    asking: Asking
    connections: int

    @property
    def name(self) -> str:
        return f"row-{self.connections}" if self.asking == "row" else self.asking


WORKLOADS: Final = (
    *(Workload("row", count) for count in CONNECTIONS),
    Workload("json", BLOCK_CONNECTIONS),
    Workload("binary", BLOCK_CONNECTIONS),
)


@dataclass(frozen=True)
class Plan:
    """`servers`: their names, all when empty. `side_…`: for what no goal judges (1 and 16 connections, reported servers)."""

    rounds: int
    side_rounds: int
    seconds: int
    side_seconds: int
    servers: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()

    def wants(self, server: str) -> bool:
        return not self.servers or server in self.servers

    def rounds_of(self, workload: Workload, kind: str) -> int:
        return self.rounds if _is_judged(workload, kind) else min(self.rounds, self.side_rounds)

    def seconds_of(self, workload: Workload, kind: str) -> int:
        return self.seconds if _is_judged(workload, kind) else min(self.seconds, self.side_seconds)


def _is_judged(workload: Workload, kind: str) -> bool:
    return kind != "reported" and (workload.asking != "row" or workload.connections == JUDGED)


@dataclass
class Journal:
    """The measurements so far, one JSON line each; why a server was left out; which models are finished, by which plan."""

    path: Path
    measured: list[Measured] = field(default_factory=list[Measured])
    left_out: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    finished: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    cold: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    def read(self) -> None:
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            one = json.loads(line)
            self._kind(one).append(one)
        again = {one["model"] for one in self.left_out} - {one["model"] for one in self.finished}
        self.left_out = [
            one for one in self.left_out if one["model"] not in again
        ]  # who could not be started is tried again

    def _kind(self, one: Mapping[str, Any]) -> list[Any]:
        if "plan" in one:
            return self.finished
        if "reason" in one:
            return self.left_out
        return self.cold if "package_mb" in one else self.measured

    def add_cold(self, one: dict[str, float]) -> None:
        self.cold.append(one)
        self._append(one)

    def add(self, one: Measured) -> None:
        self.measured.append(one)
        self._append(one)

    def leave_out(self, model: str, server: str, reason: str) -> None:
        self.left_out.append({"model": model, "server": server, "reason": reason})
        self._append(self.left_out[-1])

    def finish(self, model: str, plan: Plan) -> None:
        self.finished.append({"model": model, "plan": _as_read(asdict(plan))})
        self._append(self.finished[-1])

    def is_finished(self, model: str, plan: Plan) -> bool:
        return {"model": model, "plan": _as_read(asdict(plan))} in self.finished

    def has(self, model: str, turn: "Turn") -> bool:
        wanted = (model, turn.server, turn.workload.name, turn.form, turn.round)
        return any(
            (one["model"], one["server"], one["workload"], one["form"], one["round"]) == wanted for one in self.measured
        )

    def _append(self, one: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(one) + "\n")


def _as_read(document: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(document))


@contextmanager
def alone(lock: Path | None) -> Generator[None]:
    """While this lasts, other work on the machine that locks the same file waits."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Turn:
    """One measurement: `seconds` of one server under one load."""

    round: int
    workload: Workload
    server: str
    form: str


class Stage:
    """The running servers of one model. Use as a context: everything is stopped at the end."""

    def __init__(
        self, model: Model, plan: Plan, cache: Path, work: Path, journal: Journal, say: Say, lock: Path | None = None
    ) -> None:
        self.model, self.plan, self.cache, self.work = model, plan, cache, work
        self.journal, self.say, self.lock = journal, say, lock
        self.running: dict[str, Running] = {}
        self._scripts: dict[tuple[str, Asking, str], Path] = {}
        self._closing = ExitStack()

    def __enter__(self) -> "Stage":
        self.work.mkdir(parents=True)
        try:
            self._start_ours()
            for peer in peers.PEERS:
                if self.plan.wants(peer.name):
                    self._start(
                        lambda peer=peer: peers.server_of(peer, self.model, self.cache, self.work / peer.folder),
                        peer.name,
                    )
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _start_ours(self) -> None:
        published, answer = self.work / "published", self.work / "answer.json"
        ours.prepare(self.model, published)
        self._start(lambda: ours.one(published), ours.ONE)
        running = self.running[ours.ONE]
        running.tree.let_go()
        ours.keep_answer(running.server, self.model, answer)
        running.hold()
        if self.plan.wants(ours.NOTHING):
            self._start(lambda: ours.noop(self.work, answer), ours.NOTHING)
        if self.plan.wants(ours.TWO):
            self._start(lambda: ours.two_workers(published), ours.TWO)
        if self.plan.wants(ours.NGINX) and ours.nginx_is_there():
            self._start(lambda: ours.behind_nginx(published), ours.NGINX)
        elif self.plan.wants(ours.NGINX):
            self.journal.leave_out(self.model.name, ours.NGINX, "nginx is not installed")

    def _start(self, make: Callable[[], Server], name: str) -> None:
        """Started, warm and held; or left out, with the reason, where it cannot be installed or fails twice."""
        for last in (False, True):
            begun = time.perf_counter()
            try:
                running = self._started(make())
            except InstallError as error:
                return self._leave_out(name, str(error))
            except StartError as error:
                if last:
                    return self._leave_out(name, str(error))
                self.say(f"{self.model.name}: {name} is started again")
                continue
            self.running[name] = running
            self._write_scripts(running.server)
            running.hold()
            return self.say(f"{self.model.name}: {name} answers right, after {time.perf_counter() - begun:.0f} s")
        return None

    def _started(self, server: Server) -> Running:
        running = Running(server, self.work / f"{server.name.replace(' ', '-')}-{server.port}.log")
        try:
            running.await_right_answers(self.model)
        except BaseException:
            running.close()
            raise
        self._closing.callback(running.close)
        return running

    def _leave_out(self, name: str, reason: str) -> None:
        """In words that hold no folder of this machine."""
        for folder, word in ((self.work, "work"), (self.cache, "cache"), (ours.ROOT, ".")):
            reason = reason.replace(str(folder), word)
        self.journal.leave_out(self.model.name, name, reason)
        self.say(f"{self.model.name}: {name} is left out: {reason}")
        if name == ours.ONE:
            raise SystemExit("ml-service does not answer: there is nothing to compare")

    def _write_scripts(self, server: Server) -> None:
        asked = server.forms or {"row": ours.OUR_FORMS["row"]}
        for asking, several in asked.items():
            for form in several:
                rows = self.model.rows
                blocks = [[row] for row in rows[:DIFFERENT_ROWS]] if asking == "row" else [rows]
                requests = [with_headers(form.request(self.model, block), server.headers) for block in blocks]
                folder = self.work / "requests" / f"{server.name}-{asking}-{form.name}".replace(" ", "-")
                self._scripts[server.name, asking, form.name] = load.write_script(folder, requests)

    def turns(self) -> list[Turn]:
        """What is left to measure, round by round, so that a slow moment of the machine meets all servers alike."""
        return [turn for turn in self._all_turns() if not self.journal.has(self.model.name, turn)]

    def _all_turns(self) -> Iterator[Turn]:
        for number in range(1, self.plan.rounds + 1):
            for workload in WORKLOADS:
                if self.plan.workloads and workload.name not in self.plan.workloads:
                    continue
                for name, running in self.running.items():
                    if number <= self.plan.rounds_of(workload, running.server.kind):
                        for form in self._forms(running.server, workload.asking):
                            yield Turn(number, workload, name, form)

    def _forms(self, server: Server, asking: Asking) -> Sequence[str]:
        return [form for name, kind, form in self._scripts if (name, kind) == (server.name, asking)]

    def measure(self, turn: Turn) -> None:
        with alone(self.lock):
            self._measure(turn)

    def _measure(self, turn: Turn) -> None:
        running, script = self.running[turn.server], self._scripts[turn.server, turn.workload.asking, turn.form]
        port, connections = running.server.port, turn.workload.connections
        try:
            running.wake(self._first_request(running.server))
            load.drive(port, script, connections, WARM_SECONDS)
            before, others = running.tree.cpu_seconds(), os.times()
            found = load.drive(port, script, connections, self.plan.seconds_of(turn.workload, running.server.kind))
        except (StartError, LoadError) as error:
            self._leave_out(turn.server, str(error))
            del self.running[turn.server]
            running.close()
            return
        cpu, client = running.tree.cpu_seconds() - before, os.times()
        measured = {
            "model": self.model.name,
            "server": turn.server,
            "kind": running.server.kind,
            "workload": turn.workload.name,
            "form": turn.form,
            "round": turn.round,
            "connections": connections,
            **asdict(found),
            "rps": found.rps,
            "errors": found.errors,
            "cpu_s": cpu,
            "per_cpu_s": found.rps * found.seconds / cpu if cpu else 0.0,
            "client_cpu_s": client.children_user
            + client.children_system
            - others.children_user
            - others.children_system,
            "rss_mib": running.tree.rss_mib(),
        }
        running.hold()
        self.journal.add(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in measured.items()}
        )

    def _first_request(self, server: Server) -> Any:
        form = (server.forms or ours.OUR_FORMS)["row"][0]
        return with_headers(form.request(self.model, self.model.rows[:1]), server.headers)
