"""Promise 28, small: what `make test-contract` does at length, as one role and with few calls; and how its pieces become a result."""

from dataclasses import replace
from pathlib import Path

import pytest
from mill_contracts.tokens import Role

from tests.faults.promises import State
from tests.security import contract
from tests.security.contract_pieces import PHASES, SERVING, Ended, Piece, Shelf, merged, pieces

PIECE = Piece(Role.USER, SERVING, "fuzzing")
ENDED = Ended(PIECE, 100, 7, "2026-01-01T00:00:00Z", 30.0, "abc", calls=900, operations=31)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ml_service_answers_as_it_says() -> None:
    with contract.services() as found:
        ended = contract.explore(found, PIECE, examples=1)
    assert ended is not None
    assert ended.operations >= 30
    assert ended.failures == ()


def test_every_part_of_the_api_is_explored() -> None:
    assert len(contract.parts_of_the_api()) >= 12
    assert len(pieces(contract.ROLES, contract.all_parts())) == 3 * 3 * len(contract.all_parts())


def test_a_run_goes_on_where_it_was_and_tries_again_what_failed(tmp_path: Path) -> None:
    wanted = pieces([Role.USER], [SERVING], PHASES)
    shelf = Shelf.open(tmp_path, 100, 7)
    assert shelf.left(wanted) == wanted
    shelf.keep(ENDED)
    shelf.keep(replace(ENDED, piece=wanted[0], failures=("something",)))
    again = Shelf.open(tmp_path, 100, 7)
    assert again.ended == shelf.ended
    assert again.left(wanted) == [wanted[2], wanted[0]]
    assert Shelf.open(tmp_path, 50, 7).left(wanted) == wanted
    assert Shelf.open(tmp_path, 100, 8).left(wanted) == wanted


def test_a_result_counts_pieces_calls_and_failures_and_is_reached_by_all_of_them_alone(tmp_path: Path) -> None:
    wanted = pieces([Role.USER], [SERVING], PHASES)
    shelf = Shelf.open(tmp_path, 100, 7)
    shelf.keep(ENDED)
    some = merged(shelf, wanted, len(wanted))
    assert (some.state, some.trials, some.full, some.figures["calls"]) == (State.BOUNDED, 1, 3, 900)
    for piece in wanted:
        shelf.keep(replace(ENDED, piece=piece))
    assert merged(shelf, wanted, len(wanted)).state is State.REACHED
    assert merged(shelf, wanted, len(wanted)).figures["operations × roles"] == 31
    shelf.keep(replace(ENDED, failures=("a server error",)))
    failed = merged(shelf, wanted, len(wanted))
    assert (failed.state, failed.notes) == (State.NOT_HELD, "a server error")
    few = Shelf.open(tmp_path, 10, 7)
    few.keep(replace(ENDED, examples=10))
    assert merged(few, [PIECE], 1).state is State.BOUNDED
