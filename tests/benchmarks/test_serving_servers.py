"""Servers under test are real: ours gives the library's answers in every form it is measured in, is held, goes on, and ends."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import forms, models, ours
from benchmarks.serving.servers import Asking, Running, Server, ask, ports, with_headers


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ours_answers_right_in_every_form_is_held_goes_on_and_ends(tmp_path: Path) -> None:
    model = models.build("A", tmp_path / "models")
    ours.prepare(model, tmp_path / "published")
    server = ours.one(tmp_path / "published")
    running = Running(server, tmp_path / "log")
    try:
        running.await_right_answers(model)  # one row, JSON rows, V2 JSON, Arrow, V2 binary
        request = with_headers(forms.OUR_ROW.request(model, model.rows[:1]), server.headers)
        running.hold()
        with pytest.raises(OSError, match="timed out"):
            ask(server.port, request, 0.3)
        running.wake(request)
        spent = running.tree.cpu_seconds()
        assert spent > 0
        assert running.tree.rss_mib() > 20
        refused = forms.OUR_ROW.request(model, model.rows[:1])
        assert ask(server.port, refused, 10)[0] == 401, "the key is checked"
    finally:
        running.close()
    assert running.tree.processes() == set()


def test_a_wrong_answer_is_found(tmp_path: Path) -> None:
    model = models.Model("A", tmp_path, ("x",), 0, ("no", "yes"), [[1.0]], [1], [[0.25, 0.75]], "", "", "forest")
    forms.check(model, 0, forms.Found([1], np.array([[0.25, 0.75 + 5e-7]])))
    with pytest.raises(forms.WrongAnswerError, match=r"by 0\.001"):
        forms.check(model, 0, forms.Found([1], np.array([[0.251, 0.749]])))
    with pytest.raises(forms.WrongAnswerError, match="classes"):
        forms.check(model, 0, forms.Found([0], np.array([[0.25, 0.75]])))


def test_a_server_that_ends_by_itself_says_its_last_words(tmp_path: Path) -> None:
    model = models.Model("A", tmp_path, ("x",), 0, ("no", "yes"), [[1.0]], [1], [[0.25, 0.75]], "", "", "forest")
    command = ["sh", "-c", "echo there is no such module; exit 3"]
    asked: dict[Asking, tuple[forms.Form]] = {"row": (forms.ROWS_JSON,)}
    server = Server("broken", "peer", ports(1)[0], [command], asked, [{}], tmp_path)
    running = Running(server, tmp_path / "log")
    deadline = time.monotonic() + 20
    try:
        with pytest.raises(Exception, match="there is no such module"):
            running.await_right_answers(model)
    finally:
        running.close()
    assert time.monotonic() < deadline
