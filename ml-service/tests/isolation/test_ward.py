"""The processes of uploaded models: confined, bounded in number and time, started anew, suspended when they go on crashing."""

import gc
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_kit.problems import Problem
from mill_pack import Engine, ExplainUnsupported, open_package
from mill_serving.errors import ModelCrashed, ModelSuspended, ModelUnavailable, Overloaded
from mill_serving.isolation.engine import PIECE_BYTES
from mill_serving.isolation.ward import Ward

MakeWard = Callable[..., Ward]


def place(ward: Ward, package: Path, version: str = "v1", file: Path | None = None) -> Engine:
    """The engine that stands in for the package's own; its process is handed `file`."""
    found: list[Engine] = []

    def load(manifest: Any, _entries: Any, shape: Any) -> Engine:
        found.append(ward.engine(manifest, file or package, shape, version))
        return found[0]

    open_package(package, replay_golden=False, load=load)
    return found.pop()


def rows(package: Path, count: int, first: float = 40.0) -> np.ndarray:
    manifest = open_package(package).manifest
    width = sum(output.width for output in manifest.encoder.outputs)
    matrix = np.random.default_rng(1).normal(size=(count, width))
    matrix[0, 0] = first
    return matrix


def test_a_process_gives_the_bits_the_engine_gives_here(make_ward: MakeWard, package: Path) -> None:
    here: list[Engine] = []

    def load(manifest: Any, entries: Any, shape: Any) -> Engine:
        from mill_pack import load_here

        here.append(load_here(manifest, entries, shape))
        return here[0]

    open_package(package, load=load)
    apart = place(make_ward(), package)
    width = rows(package, 1).shape[1]
    for count in (1, 7, PIECE_BYTES // (8 * width) + 11):
        matrix = np.abs(rows(package, count))
        assert np.array_equal(apart.outputs(matrix), here[0].outputs(matrix))
    assert apart.outputs_one(matrix[0]) == here[0].outputs_one(matrix[0])
    assert apart.outputs(np.zeros((0, width))).shape == (0, 2)
    assert np.array_equal(apart.contributions(matrix[:700]), here[0].contributions(matrix[:700]))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (-1.0, "SIGSEGV"),
        (-2.0, "did not answer within 1 s"),
        (-3.0, "more memory than it may"),
        (-4.0, "makes no sense"),
        (-5.0, "makes no sense"),
        (-6.0, "SIGABRT"),
        (-7.0, "an error of its own"),
        (-8.0, "ended with status 0"),
    ],
)
def test_every_way_to_fail_is_named_and_the_next_question_finds_a_new_process(
    make_ward: MakeWard, package: Path, order: float, reason: str
) -> None:
    ward = make_ward(seconds=1.0, memory_bytes=256 << 20)
    engine = place(ward, package)
    good = engine.outputs(rows(package, 3))
    first = ward.pids()["v1"]
    with pytest.raises(ModelCrashed, match=reason) as crash:
        engine.outputs(rows(package, 3, order))
    assert crash.value.headers == {"retry-after": "1"}
    assert np.array_equal(engine.outputs(rows(package, 3)), good)
    assert ward.pids()["v1"] != first
    assert ward.crashes == 1


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param(-9.0, "SIGSYS", id="a socket"),
        pytest.param(-10.0, "SIGSYS", id="a program"),
        pytest.param(-11.0, "SIGSYS", id="a file to write"),
        pytest.param(-12.0, "SIGSYS", id="a signal to its parent"),
        pytest.param(-13.0, "an error of its own", id="a file to read"),
        pytest.param(-14.0, "an error of its own", id="a child"),
    ],
)
def test_code_that_ran_in_it_would_reach_nothing(make_ward: MakeWard, package: Path, order: float, reason: str) -> None:
    """As if a stranger's numbers had taken over the process: the kernel ends it, or there is nothing to be had."""
    ward = make_ward()
    engine = place(ward, package)
    with pytest.raises(ModelCrashed, match=reason):
        engine.outputs(rows(package, 1, order))
    assert not Path("/tmp/escaped").exists()  # noqa: S108 - nobody made it
    assert engine.outputs(rows(package, 1)).shape == (1, 2)


def test_the_third_crash_suspends_and_nothing_is_started_any_more(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward()
    engine = place(ward, package)
    for _ in range(2):
        with pytest.raises(ModelCrashed):
            engine.outputs(rows(package, 1, -1.0))
    with pytest.raises(ModelSuspended, match="crashed 3 times, the last time because it was ended by SIGSEGV") as told:
        engine.outputs(rows(package, 1, -1.0))
    assert "Deploy it again" in told.value.detail
    with pytest.raises(ModelSuspended):
        engine.outputs(rows(package, 1))
    assert ward.pids() == {}
    assert ward.records.forgive("v1")
    assert engine.outputs(rows(package, 1)).shape == (1, 2)


def test_crashes_far_apart_suspend_nobody(make_ward: MakeWard, package: Path) -> None:
    now = [0.0]
    ward = make_ward(window=60.0, clock=lambda: now[0])
    engine = place(ward, package)
    for _ in range(5):
        now[0] += 31.0
        with pytest.raises(ModelCrashed):
            engine.outputs(rows(package, 1, -6.0))


def test_a_process_killed_while_nobody_asked_counts_and_the_next_question_is_answered(
    make_ward: MakeWard, package: Path, reach: Callable[..., Any]
) -> None:
    ward = make_ward()
    engine = place(ward, package)
    engine.outputs(rows(package, 1))
    os.kill(ward.pids()["v1"], signal.SIGSEGV)
    reach(lambda: not _lives(ward.pids()["v1"]))
    assert engine.outputs(rows(package, 1)).shape == (1, 2)
    assert ward.crashes == 1


def test_two_models_know_nothing_of_each_other(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward()
    bad, good = place(ward, package, "bad"), place(ward, package, "good")
    matrix = rows(package, 5)
    expected = good.outputs(matrix)
    for _ in range(3):
        with pytest.raises(Problem):
            bad.outputs(rows(package, 1, -1.0))
        assert np.array_equal(good.outputs(matrix), expected)
    assert ward.records.suspended().keys() == {"bad"}


def test_processes_are_bounded_and_the_one_longest_idle_makes_room(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward(processes=2)
    engines = [place(ward, package, f"v{number}") for number in range(3)]
    for engine in engines:
        engine.outputs(rows(package, 1))
        assert ward.running <= 2
    assert ward.pids().keys() == {"v1", "v2"}
    engines[0].outputs(rows(package, 1))
    assert ward.pids().keys() == {"v2", "v0"}


def test_where_all_are_busy_the_next_model_is_told_to_come_again(
    make_ward: MakeWard, package: Path, reach: Callable[..., Any]
) -> None:
    ward = make_ward(processes=1, seconds=60.0)
    busy, waiting = place(ward, package, "busy"), place(ward, package, "waiting")
    busy.outputs(rows(package, 1))
    failures: list[BaseException] = []
    pid = ward.pids()["busy"]
    before = _cpu(pid)

    def hang() -> None:
        try:
            busy.outputs(rows(package, 1, -2.0))
        except ModelCrashed as error:
            failures.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    reach(lambda: _cpu(pid) > before + 5)
    with pytest.raises(Overloaded):
        waiting.outputs(rows(package, 1))
    os.kill(pid, signal.SIGKILL)
    thread.join(10)
    assert failures
    assert waiting.outputs(rows(package, 1)).shape == (1, 2)


def test_an_idle_process_ends_and_is_no_crash(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward(idle_seconds=0.0)
    engine = place(ward, package)
    engine.outputs(rows(package, 1))
    pid = ward.pids()["v1"]
    ward.look()
    assert not _lives(pid)
    assert ward.running == 0
    assert engine.outputs(rows(package, 1)).shape == (1, 2)
    assert ward.crashes == 0


def test_a_process_ends_with_its_package(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward()
    engine = place(ward, package)
    engine.outputs(rows(package, 1))
    pid = ward.pids()["v1"]
    del engine
    gc.collect()
    ward.look()
    assert not _lives(pid)
    assert ward.pids() == {}


def test_the_process_is_locked_in(make_ward: MakeWard, package: Path) -> None:
    ward = make_ward()
    engine = place(ward, package)
    engine.outputs(rows(package, 1))
    pid = ward.pids()["v1"]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    limits = {line[:26].strip(): line[26:].split()[0] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()}
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert limits["Max file size"] == limits["Max processes"] == limits["Max core file size"] == "0"
    assert limits["Max open files"] == "8"
    assert limits["Max address space"] != "unlimited"
    assert os.getpgid(pid) == pid != os.getpgid(0)
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
    if os.geteuid() == 0:
        assert status["Uid"].split()[0] == "65534"


def test_a_process_can_be_started_though_the_file_has_lost_its_name(
    make_ward: MakeWard, package: Path, tmp_path: Path
) -> None:
    ward = make_ward()
    file = tmp_path / "there.mill"
    file.write_bytes(package.read_bytes())
    engine = place(ward, package, file=file)
    file.unlink()
    assert engine.outputs(rows(package, 1)).shape == (1, 2)


def test_a_damaged_package_is_refused_and_is_no_crash(make_ward: MakeWard, package: Path, tmp_path: Path) -> None:
    ward = make_ward()
    damaged = tmp_path / "damaged.mill"
    damaged.write_bytes(package.read_bytes()[:-10])
    engine = place(ward, package, file=damaged)
    with pytest.raises(ModelUnavailable):
        engine.outputs(rows(package, 1))
    assert ward.crashes == 0


def test_perceptrons_are_not_explained(make_ward: MakeWard, build: Callable[..., Any]) -> None:
    package = build("layers", hidden=(4,), uploaded=True).path
    engine = place(make_ward(), package)
    assert engine.outputs(rows(package, 2)).shape == (2, 2)
    with pytest.raises(AttributeError):
        engine.contributions(rows(package, 2))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert ExplainUnsupported.status == 501


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _cpu(pid: int) -> int:
    """In ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
