"""The small parts of an attempt: its scratch folder and its journal are bounded and leave nothing behind."""

import stat
from pathlib import Path
from uuid import uuid4

import pytest
from mill_api.worker.journal import Journal
from mill_api.worker.scratch import Scratch
from mill_contracts.wire import LogLine, Progress, Stage


def test_an_attempts_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, "one")
    scratch.prepare()
    with scratch.attempt(uuid4()) as folders:
        home = folders.out.parent
        (folders.out / "file").write_text("x")
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not home.exists()
    with pytest.raises(RuntimeError), scratch.attempt(uuid4()) as folders:
        raise RuntimeError
    assert list((tmp_path / "one").iterdir()) == []


def test_a_start_removes_what_an_earlier_process_of_this_name_left_and_no_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "stale").mkdir(parents=True)
    Scratch(tmp_path, "one").prepare()
    assert list((tmp_path / "one").iterdir()) == []
    assert (tmp_path / "two" / "stale").exists()


def test_the_journal_tells_what_is_new_and_keeps_the_tail(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.txt", lambda: None)
    journal.hear(Stage(stage="fitting"))
    journal.hear(Progress(fraction=0.12345))
    for number in range(60):
        journal.hear(LogLine(message=f"line {number}"))
    news = journal.take()
    assert (news.stage, news.progress, len(news.lines), len(news.tail)) == ("fitting", 0.123, 60, 50)
    again = journal.take()
    assert (again.stage, again.progress, list(again.lines), len(again.tail)) == (None, None, [], 50)
    journal.close()
    assert (tmp_path / "log.txt").read_text().count("\n") == 60


def test_a_child_that_floods_fills_neither_the_database_nor_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.txt", lambda: None)
    told = 0
    for _ in range(60):
        for _ in range(300):
            journal.output("x" * 10_000)
        news = journal.take()
        told += len(news.lines)
        assert all(len(line["message"]) <= 2_000 for line in news.tail)
    journal.close()
    assert told <= 5_200
    assert (tmp_path / "log.txt").stat().st_size <= 64 * 2**20
