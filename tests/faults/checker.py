"""The invariants I1–I8 over what clients were told and what the platform holds after it has come to rest.

Pure: takes a history and facts, gives findings. Its own tests hand it histories that break each invariant.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mill_contracts.jobs import LEGAL_MOVES, JobState

from tests.faults.history import Operation, Outcome

ACCEPTED = ("upload", "train")
"""Operations whose acknowledgement is the promise of a job."""


@dataclass(frozen=True)
class Facts:
    """What is there after the run. Names are those the clients chose; each client has a workspace of its own.

    `path` of a job are its states in the order of its events. `objects` maps key to sha256, `stored` name to the bytes' sha256.
    """

    jobs: Mapping[str, str] = field(default_factory=dict[str, str])
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    subjects: Mapping[str, str] = field(default_factory=dict[str, str])
    results: Mapping[str, int] = field(default_factory=dict[str, int])
    stored: Mapping[str, str] = field(default_factory=dict[str, str])
    named: frozenset[str] = frozenset()
    objects: Mapping[str, str] = field(default_factory=dict[str, str])
    seen: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    counted: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Finding:
    invariant: str
    what: str


def check(operations: Sequence[Operation], facts: Facts) -> list[Finding]:
    return [
        *lost_or_unended(operations, facts),
        *doubled(facts),
        *moved_after_the_end(operations, facts),
        *off_the_machine(facts),
        *acknowledged_but_different(operations, facts),
        *missing_objects(facts),
        *seen_by_others(facts),
        *miscounted(facts),
    ]


def lost_or_unended(operations: Sequence[Operation], facts: Facts) -> Iterator[Finding]:
    """I1: every accepted job is there and has ended; nothing is there that nobody asked for."""
    for one in operations:
        if one.what in ACCEPTED and one.outcome is Outcome.OK and str(one.answer["job"]) not in facts.jobs:
            yield Finding("I1", f"job {one.answer['job']} of operation {one.id} is lost")
    for job, state in facts.jobs.items():
        if not JobState(state).is_final:
            yield Finding("I1", f"job {job} is still {state}")
    attempted = {str(one.value["name"]) for one in operations if one.what in ACCEPTED}
    refused = {str(one.value["name"]) for one in operations if one.what in ACCEPTED and one.outcome is Outcome.FAIL}
    for job, name in facts.subjects.items():
        if name not in attempted:
            yield Finding("I1", f"job {job} is of {name!r}, which nobody asked for")
        elif name in refused:
            yield Finding("I1", f"job {job} is of {name!r}, which was refused")


def doubled(facts: Facts) -> Iterator[Finding]:
    """I2: a job has at most one result, and what was asked once is there once."""
    for job, number in facts.results.items():
        if number > 1:
            yield Finding("I2", f"job {job} has {number} results")
    for name, number in Counter(facts.subjects.values()).items():
        if number > 1:
            yield Finding("I2", f"{name!r} was made {number} times")


def moved_after_the_end(operations: Sequence[Operation], facts: Facts) -> Iterator[Finding]:
    """I3: what a client once saw ended stays so, and no event follows the end."""
    for one in operations:
        state = str(one.answer.get("state", ""))
        if one.what == "see" and one.outcome is Outcome.OK and JobState(state).is_final:
            now = facts.jobs.get(str(one.value["job"]))
            if now != state:
                yield Finding("I3", f"job {one.value['job']} was seen {state} and is {now}")
    for job, path in facts.paths.items():
        ends = [place for place, state in enumerate(path) if JobState(state).is_final]
        if ends and ends[0] != len(path) - 1:
            yield Finding("I3", f"job {job} went on after its end: {' → '.join(path)}")


def off_the_machine(facts: Facts) -> Iterator[Finding]:
    """I4: the events of a job are a path of the state machine, and end where the row stands."""
    for job, path in facts.paths.items():
        for before, after in pairwise(path):
            if JobState(after) not in LEGAL_MOVES[JobState(before)]:
                yield Finding("I4", f"job {job} went from {before} to {after}")
        if path and facts.jobs.get(job) != path[-1]:
            yield Finding("I4", f"job {job} is {facts.jobs.get(job)}, its last event says {path[-1]}")
        if path and path[0] not in (JobState.QUEUED, JobState.WAITING):
            yield Finding("I4", f"job {job} began as {path[0]}")


def acknowledged_but_different(operations: Sequence[Operation], facts: Facts) -> Iterator[Finding]:
    """I5: what was acknowledged is read back as it was sent."""
    for one in operations:
        if one.what == "upload" and one.outcome is Outcome.OK:
            found = facts.stored.get(str(one.value["name"]))
            if found != one.value["sha256"]:
                yield Finding("I5", f"{one.value['name']!r} reads back as {found}, sent was {one.value['sha256']}")


def missing_objects(facts: Facts) -> Iterator[Finding]:
    """I6: every object that a row names is there."""
    for key in sorted(facts.named - facts.objects.keys()):
        yield Finding("I6", f"{key} is named by a row and missing")


def seen_by_others(facts: Facts) -> Iterator[Finding]:
    """I7: no id is seen by two clients, each being alone in a workspace."""
    owners: dict[str, str] = {}
    for client, ids in facts.seen.items():
        for one in ids:
            if owners.setdefault(one, client) != client:
                yield Finding("I7", f"{one} is seen by {owners[one]} and by {client}")


def miscounted(facts: Facts) -> Iterator[Finding]:
    """I8: the gauges of jobs add up to the rows."""
    rows = Counter(facts.jobs.values())
    for state, number in facts.counted.items():
        if rows[state] != number:
            yield Finding("I8", f"/metrics counts {number} {state} jobs, there are {rows[state]}")
