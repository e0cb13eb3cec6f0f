"""The rules that the experiment of promise 37 tells quicker are the shipped ones, with nothing but their durations changed."""

import re

from tests.faults.timelapse import FACTORS, quicker, shipped


def test_durations_are_divided_and_nothing_else() -> None:
    rule = {
        "alert": "A",
        "expr": "max by (w) (a_age_seconds) > 120 and increase(b_total[10m]) > 3 and c_seconds_count > 14.4 * 0.01",
        "for": "5m",
        "labels": {"severity": "page"},
    }
    assert quicker(rule, 30) == {
        **rule,
        "expr": "max by (w) (a_age_seconds) > 4 and increase(b_total[20000ms]) > 3 and c_seconds_count > 14.4 * 0.01",
        "for": "10000ms",
    }


def test_every_shipped_alert_is_told_and_needs_no_recorded_series() -> None:
    rules = shipped()
    assert len(rules) >= 22
    assert not [rule["alert"] for rule in rules if "job:http" in rule["expr"]]
    assert set(FACTORS) <= {rule["alert"] for rule in rules}
    for rule in rules:
        told = quicker(rule, 30)
        assert not re.search(r"\[\d+[smhd](?!s)", told["expr"]), told["expr"]
