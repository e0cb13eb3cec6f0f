"""Starts the parts in order, restarts what dies, stops them in the opposite order. Run by `modelmill up` in its main thread."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mill_local.errors import PartFailed, StackProblem
from mill_local.home import Home, PartState, StackState, own_identity
from mill_local.parts import Part, ServerPart
from mill_local.plan import Plan, StackOptions
from mill_local.process import Child

Say = Callable[[str], None]
MakePlan = Callable[[Home, StackOptions], Plan]
LOG_BYTES = 10 * 1024**2
TICK_SECONDS = 0.2
FIRST_DELAY, LONGEST_DELAY, FORGET_AFTER = 0.5, 30.0, 60.0
MIGRATION_SECONDS = 120.0


@dataclass
class Watched:
    """A part and its history of deaths; each one doubles the wait before the next start, a quiet minute forgets them."""

    part: Part
    restarts: int = 0
    delay: float = FIRST_DELAY
    alive_since: float = field(default_factory=time.monotonic)
    next_start: float | None = None

    def tend(self, now: float, say: Say) -> bool:
        """Whether its state changed."""
        if self.part.is_running():
            if now - self.alive_since > FORGET_AFTER:
                self.delay = FIRST_DELAY
            return False
        if self.next_start is None:
            say(f"{self.part.name} ended; it starts again in {self.delay:.1f} s")
            self.next_start = now + self.delay
            self.delay = min(self.delay * 2, LONGEST_DELAY)
            return True
        if now < self.next_start:
            return False
        self._start_again(now, say)
        return True

    def _start_again(self, now: float, say: Say) -> None:
        self.next_start = None
        self.restarts += 1
        self.alive_since = now
        try:
            self.part.start()
        except (StackProblem, OSError) as problem:
            say(f"{self.part.name} did not start: {problem}")

    def state(self) -> PartState:
        running = self.part.is_running()
        return PartState(
            self.part.name, "running" if running else "restarting", self.part.pid, self.part.port, self.restarts
        )


class Supervisor:
    """One embedded stack, from its first start to its clean stop."""

    def __init__(self, home: Home, options: StackOptions, say: Say, make_plan: MakePlan = Plan.make) -> None:
        self._home = home
        self._options = options
        self._say = say
        self._make_plan = make_plan
        self._watched: list[Watched] = []
        self._stop_asked = threading.Event()

    def run(self, when_ready: Callable[[StackState], None] = lambda _: None) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP. Call it from the main thread: children die with the thread that made them."""
        with self._home.alone():
            before = {
                which: signal.signal(which, self._ask_to_stop)
                for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            }
            plan = self._make_plan(self._home, self._options)
            try:
                self._start_all(plan)
                if not self._stop_asked.is_set():
                    when_ready(self._save(plan, "ready"))
                    self._watch(plan)
            finally:
                self._stop_all(plan)
                for which, handler in before.items():
                    signal.signal(which, handler)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked.set()

    def _start_all(self, plan: Plan) -> None:
        self._save(plan, "starting")
        self._say_ports(plan)
        servers = plan.servers
        for name, server in (("postgres", servers.postgres), ("broker", servers.broker), ("cache", servers.cache)):
            self._start(plan, ServerPart(name, server))
        serving = plan.data_plane()
        self._start(plan, serving)
        servers.postgres.create_database()
        self._migrate(plan)
        services = plan.control_plane()
        for part in services:
            self._start(plan, part)
        for part in (serving, *services):
            part.wait_ready(self._stop_asked)
            if not self._stop_asked.is_set():
                self._say(f"{part.name} is ready")

    def _start(self, plan: Plan, part: Part) -> None:
        if self._stop_asked.is_set():
            return
        self._watched.append(Watched(part))
        part.start()
        self._save(plan, "starting")

    def _migrate(self, plan: Plan) -> None:
        child = Child.start(plan.migration())
        if not child.wait(MIGRATION_SECONDS):
            child.kill()
        if child.exit_code() != 0:
            raise PartFailed(f"the migration failed; the end of {child.program.log}:\n{child.log_tail()}")
        self._say("the database is at its newest version")

    def _say_ports(self, plan: Plan) -> None:
        wanted = (
            ("api-server", self._options.api_port, plan.ports.api),
            ("ml-service", self._options.serving_port, plan.ports.serving),
        )
        for name, asked, given in wanted:
            if asked != given:
                self._say(f"port {asked} is taken: {name} listens on {given}")

    def _watch(self, plan: Plan) -> None:
        while not self._stop_asked.wait(TICK_SECONDS):
            now = time.monotonic()
            changes = [watched.tend(now, self._say) for watched in self._watched]
            if any(changes):
                self._save(plan, "ready")
            for log in self._home.logs.glob("*.log"):
                keep_small(log)

    def _stop_all(self, plan: Plan) -> None:
        self._save(plan, "stopping")
        for watched in reversed(self._watched):
            watched.part.stop()
        self._home.state_file.unlink(missing_ok=True)
        self._say("stopped")

    def _save(self, plan: Plan, state: str) -> StackState:
        pid, started = own_identity()
        parts = tuple(watched.state() for watched in self._watched)
        document = StackState(pid, started, state, plan.api_url, plan.serving_url, parts=parts)
        document.save(self._home)
        return document


def keep_small(log: Path, limit: int = LOG_BYTES) -> None:
    """Move a log's content to `<name>.1` when it is over `limit`. Children hold it open for appending, so it is emptied in place."""
    if log.stat().st_size > limit:
        log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
        with log.open("r+b") as stream:
            stream.truncate(0)
