"""Hashing: the same work for a user who does not exist, and never on the event loop."""

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from mill_api.access.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords()
    yield passwords
    passwords.close()


async def test_a_hash_is_argon2id_and_knows_its_password(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse battery")
    assert extract_parameters(stored).type is Type.ID
    assert await passwords.verify(stored, "correct horse battery")
    assert not await passwords.verify(stored, "Correct horse battery")
    assert not await passwords.verify("not a hash", "x")


async def test_nobody_costs_as_much_as_somebody_and_never_matches(passwords: Passwords) -> None:
    stored = await passwords.hash("somebody's")
    nobody = passwords._of_nobody  # pyright: ignore[reportPrivateUsage] - what is promised is its cost
    assert extract_parameters(nobody) == extract_parameters(stored)
    assert not await passwords.verify(None, "the password of nobody")


async def test_an_older_hash_is_noticed(passwords: Passwords) -> None:
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("x"))


async def test_the_loop_runs_on_while_hashes_are_made(passwords: Passwords) -> None:
    hashing = asyncio.gather(*(passwords.hash("x") for _ in range(4)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
