"""The verdict on serving comes from the raw rounds: ratios within a round, medians over the rounds, every goal by name."""

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.engines.goals import Verdict
from benchmarks.serving import report, verdict


def measured(server: str, kind: str, rps: float, **more: Any) -> dict[str, Any]:
    usual = {
        "model": "A",
        "server": server,
        "kind": kind,
        "workload": "row-64",
        "form": "JSON",
        "round": 1,
        "rps": rps,
        "per_cpu_s": rps,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "errors": 0,
        "rss_mib": 100.0,
    }
    return {**usual, **more}


def reached(found: list[Verdict], *words: str) -> Verdict:
    (one,) = [one for one in found if all(word in one.what for word in words)]
    return one


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    pairs = [(600.0, 1000.0), (90.0, 100.0), (70.0, 100.0)]  # 0.6, 0.9, 0.7; the medians alone would give 0.9
    rounds = [
        one
        for number, (ours, noop) in enumerate(pairs, 1)
        for one in (measured("Modelmill", "ours", ours, round=number), measured("no-op", "no-op", noop, round=number))
    ]
    found = reached(verdict.of(rounds), "requests/s", "no-op")
    assert found.reached == pytest.approx(0.7)
    assert found.kept


def test_each_model_has_its_own_share_of_the_no_op() -> None:
    def share(model: str) -> Verdict:
        rounds = [
            measured("Modelmill", "ours", 40.0, model=model),
            measured("no-op", "no-op", 100.0, model=model, per_cpu_s=50.0),
        ]
        return reached(verdict.of(rounds), "requests/s", "no-op")

    assert [(share(model).goal, share(model).kept) for model in "ABC"] == [(0.6, False), (0.3, True), (0.6, False)]


def test_the_best_peer_is_the_best_of_each_round() -> None:
    rounds = [
        measured("Modelmill", "ours", 80.0),
        measured("slow", "peer", 5.0),
        measured("quick", "peer", 10.0),
        measured("Modelmill, two workers", "reported", 500.0),
        measured("Modelmill", "ours", 80.0, round=2),
        measured("slow", "peer", 20.0, round=2),
    ]
    assert reached(verdict.of(rounds), "requests/s", "best peer").reached == pytest.approx(6.0)


def test_requests_per_cpu_second_are_judged_beside_requests_per_second() -> None:
    rounds = [measured("Modelmill", "ours", 90.0, per_cpu_s=30.0), measured("peer", "peer", 10.0, per_cpu_s=10.0)]
    found = verdict.of(rounds)
    assert reached(found, "requests/s", "best peer").kept
    assert not reached(found, "CPU-second", "best peer").kept


def test_our_slow_answers_are_held_against_the_quickest_peers_usual_one() -> None:
    rounds = [measured("Modelmill", "ours", 1.0, p99_ms=9.0), measured("peer", "peer", 1.0, p50_ms=10.0)]
    assert reached(verdict.of(rounds), "p99").kept
    rounds.append(measured("quicker", "peer", 1.0, p50_ms=8.0))
    assert not reached(verdict.of(rounds), "p99").kept


def test_batches_count_in_our_best_form_and_a_peer_that_only_fails_is_none() -> None:
    def batch(server: str, kind: str, rps: float, workload: str, form: str) -> dict[str, Any]:
        return measured(server, kind, rps, workload=workload, form=form)

    rounds = [
        batch("Modelmill", "ours", 20.0, "json", "JSON rows"),
        batch("Modelmill", "ours", 30.0, "json", "V2 JSON"),
        batch("peer", "peer", 10.0, "json", "JSON"),
        batch("broken", "peer", 0.0, "json", "JSON"),
        batch("Modelmill", "ours", 60.0, "binary", "Arrow IPC"),
        batch("peer", "peer", 20.0, "binary", "V2 binary"),
    ]
    found = verdict.of(rounds)
    assert reached(found, "V2 JSON, requests/s").reached == pytest.approx(3.0)
    assert reached(found, "Arrow IPC, requests/s", "JSON").reached == pytest.approx(6.0)
    assert reached(found, "Arrow IPC, requests/s", "V2 binary").reached == pytest.approx(3.0)


def test_one_error_of_ours_is_a_missed_goal_and_a_peers_is_not() -> None:
    fine = [measured("Modelmill", "ours", 1.0), measured("peer", "peer", 1.0, errors=5)]
    assert reached(verdict.of(fine), "errors").kept
    assert not reached(verdict.of([*fine, measured("Modelmill", "ours", 1.0, errors=1, round=2)]), "errors").kept


def test_first_calls_are_one_load_each_round_and_no_slower_than_reading_and_parsing_allows() -> None:
    def cold(**more: float) -> Mapping[str, float]:
        usual = {
            "calls": 500,
            "package_mb": 105.0,
            "read_s": 0.5,
            "parse_s": 0.5,
            "seconds": 1.4,
            "loads": 1,
            "errors": 0,
        }
        return {**usual, **more}

    assert all(one.kept for one in verdict.of([], [cold(), cold(seconds=9.0), cold()]))
    missed = [one.what for one in verdict.of([], [cold(loads=2, errors=3, seconds=1.6)]) if not one.kept]
    assert len(missed) == 3


def test_what_was_not_measured_is_not_judged() -> None:
    assert [one.what for one in verdict.of([measured("Modelmill", "ours", 1.0)])] == ["A: errors of ours in all rounds"]


def test_the_answer_names_missed_goals_and_servers_that_were_left_out() -> None:
    rounds = [measured("Modelmill", "ours", 50.0), measured("no-op", "no-op", 100.0)]
    answer = report.answer(rounds, [{"model": "A", "server": "Triton", "reason": "no such wheel"}], [], "How.")
    assert len(answer.broken) == 2
    assert "Left out: Triton on A: no such wheel" in answer.notes
    text = report.markdown({**answer.document(), "title": answer.title}, "picture.svg", "A machine")
    assert "| Modelmill | 50 · 2.0 ms |" in text
    assert "![Requests per second](picture.svg)" in text
    assert "1 of 3 goals are reached. Missed:" in text
