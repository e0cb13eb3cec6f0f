"""Promises 1, 2, 3 and 38: clients work while the nemesis harms every part; then nothing may be lost, doubled or open."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.checker import Facts, Finding, check
from tests.faults.cluster import Cluster, cluster
from tests.faults.course import Course, Trial
from tests.faults.facts import drain, read_facts
from tests.faults.history import ClientLog, Operation, Outcome, read_history
from tests.faults.nemesis import EVERYTHING, Fault, Nemesis
from tests.faults.promises import Figure, Result
from tests.faults.workload import Client, User

CLIENTS = 4
STORM_SHARE = 0.35
"""Of the time given to all experiments; jobs that were not asked for by then are no trials."""
_ZOMBIES = "SELECT coalesce(sum(value), 0) FROM job_counters WHERE name = 'fencing_refused'"
_EXPIRED = "SELECT coalesce(sum(value), 0) FROM job_counters WHERE name = 'lease_expired'"


@dataclass(frozen=True)
class Storm:
    """What a storm has shown."""

    operations: list[Operation]
    facts: Facts
    findings: list[Finding]
    faults: Mapping[str, int]
    zombies: int
    expired: int
    drained: float

    @property
    def jobs(self) -> int:
        return len(self.facts.jobs)

    def broken(self, *invariants: str) -> int:
        return sum(finding.invariant in invariants for finding in self.findings)

    def figures(self) -> dict[str, Figure]:
        accepted = [one for one in self.operations if one.what in ("upload", "train")]
        outcomes = Counter(one.outcome for one in accepted)
        unknown = {str(one.value["name"]) for one in accepted if one.outcome is Outcome.UNKNOWN}
        return {
            "asked": len(accepted),
            "acknowledged": outcomes[Outcome.OK],
            "refused": outcomes[Outcome.FAIL],
            "without an answer": outcomes[Outcome.UNKNOWN],
            "of these done": len(unknown & set(self.facts.subjects.values())),
            **{f"jobs {state}": number for state, number in sorted(Counter(self.facts.jobs.values()).items())},
            "faults": sum(self.faults.values()),
            "seconds to drain": round(self.drained, 1),
        }


def run_storm(
    course: Course, running: Cluster, jobs: int, *, name: str = "storm", faults: Mapping[Fault, int] = EVERYTHING,
    pause: tuple[float, float] = (5.0, 12.0), drain_seconds: float = 600, trainings: float = 0.08,
    least_faults: int = 0, longest: float | None = None,
) -> Storm:  # fmt: skip
    """Clients work until `jobs` were accepted and `least_faults` made, at most for `longest` seconds."""
    log = ClientLog(course.folder / f"{name}.jsonl")
    users = [User.register(running.api_url, f"client{number}") for number in range(CLIENTS)]
    share = -(-jobs // CLIENTS)
    nemesis = Nemesis(running, course.random(f"{name} nemesis"), log, pause, faults)

    def enough() -> bool:
        return nemesis.done.total() >= least_faults

    clients = [
        Client(user, log, course.random(f"{name} {user.name}"), share, trainings=trainings, enough=enough)
        for user in users
    ]
    harming = threading.Thread(target=nemesis.run, name="nemesis")
    working = [threading.Thread(target=client.run, name=client.user.name) for client in clients]
    harming.start()
    for thread in working:
        thread.start()
    ends = time.monotonic() + (course.left(STORM_SHARE) if longest is None else longest)
    for thread in working:
        thread.join(max(0.0, ends - time.monotonic()))
    for client in clients:
        client.stop.set()
    for thread in working:
        thread.join()
    nemesis.stop.set()
    harming.join()
    drained = drain(running, drain_seconds)
    facts = read_facts(running, users)
    log.close()
    for user in users:
        user.close()
    operations = read_history(log.path)
    storm = Storm(
        operations,
        facts,
        check(operations, facts),
        dict(nemesis.done),
        int(running.query(_ZOMBIES) or 0),
        int(running.query(_EXPIRED) or 0),
        drained,
    )
    verdict = [f"{finding.invariant}: {finding.what}" for finding in storm.findings]
    (course.folder / f"{name}-verdict.json").write_text(json.dumps({"findings": verdict, **storm.figures()}, indent=2))
    return storm


def storm(course: Course) -> list[Result]:
    trials = [
        Trial(course, 1, "clients under a nemesis"),
        Trial(course, 2, "clients under a nemesis"),
        Trial(course, 3, "clients under a nemesis"),
        Trial(course, 38, "the gauges of jobs"),
    ]
    jobs = course.trials(1, least=12)
    with cluster(course.folder / "storm", clocked=True) as running:
        seen = run_storm(course, running, jobs)
    for finding in seen.findings:
        course.say(f"    {finding.invariant}: {finding.what}")
    kinds = ", ".join(f"{name} × {number}" for name, number in sorted(seen.faults.items()))
    notes = f"Faults: {kinds}. Lease 6 s, sweep 1 s, so that faults come more often than in production."
    lost, doubled, ended, counted = trials
    unwanted = seen.broken("I1", "I5", "I6", "I7")
    return [
        lost.result(seen.jobs, unwanted, seen.figures(), notes),
        doubled.result(seen.zombies, seen.broken("I2"), {"leases expired": seen.expired, "jobs": seen.jobs}, notes),
        ended.result(
            seen.jobs, seen.broken("I3", "I4"), {"events read": sum(map(len, seen.facts.paths.values()))}, notes
        ),
        counted.result(
            seen.jobs, seen.broken("I8"), {}, "Gauges read from PostgreSQL, after restarts of the api-server."
        ),
    ]
