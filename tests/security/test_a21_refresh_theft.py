"""A21: a stolen refresh token ends with its family; a client that refreshes twice at once is not thrown out."""

import asyncio

from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person, register, sign_in
from sqlalchemy import text

from tests.security.evidence import Evidence

TESTS = "test_a21_refresh_theft.py"


async def age_tokens(parts: Parts, seconds: int = 3600) -> None:
    """As if every rotation had happened long ago: past the grace."""
    async with parts.database.writing() as work:
        await work.session.execute(
            text(
                "UPDATE refresh_tokens SET rotated_at = rotated_at - make_interval(secs => :s) WHERE rotated_at IS NOT NULL"
            ),
            {"s": seconds},
        )


async def refresh(client: AsyncClient, token: str) -> tuple[int, str]:
    answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json().get("refresh_token", "") if answer.is_success else ""


async def test_a_replayed_token_ends_its_whole_family(client: AsyncClient, parts: Parts) -> None:
    person = await register(client, "robbed")
    stolen = person.refresh_token
    chain = [stolen]
    for _ in range(4):
        status, new = await refresh(client, chain[-1])
        assert status == 200
        chain.append(new)
    await age_tokens(parts)
    assert (await refresh(client, stolen))[0] == 401
    for token in chain:
        assert (await refresh(client, token))[0] == 401, "the family must be dead, whichever of its tokens is shown"


async def test_another_sign_in_outlives_the_stolen_one(client: AsyncClient, parts: Parts) -> None:
    person = await register(client, "two-devices")
    other: Person = await sign_in(client, person.username)
    assert (await refresh(client, person.refresh_token))[0] == 200
    await age_tokens(parts)
    assert (await refresh(client, person.refresh_token))[0] == 401
    assert (await refresh(client, other.refresh_token))[0] == 200


async def test_of_a_hundred_refreshes_at_once_one_wins_and_nobody_is_thrown_out(client: AsyncClient) -> None:
    evidence = Evidence(29, "Tokens are safe: a hundred refreshes at once", TESTS, full=100)
    person = await register(client, "impatient")
    answers = await asyncio.gather(*(refresh(client, person.refresh_token) for _ in range(100)))
    won = [new for status, new in answers if status == 200]
    evidence.count(failed=len(won) != 1, trials=100)
    evidence.figures = {"new_pairs": len(won)}
    assert len(won) == 1
    assert {status for status, _ in answers} <= {200, 401, 409, 429}
    status, _ = await refresh(client, won[0])
    evidence.count(failed=status != 200)
    evidence.keep()
    assert status == 200, "inside the grace the family lives on"


async def test_signing_out_ends_the_family(client: AsyncClient) -> None:
    person = await register(client, "leaving")
    _, newer = await refresh(client, person.refresh_token)
    assert (await client.post("/api/v1/auth/logout", json={"refresh_token": newer})).status_code == 204
    assert (await refresh(client, newer))[0] == 401


async def test_refresh_tokens_are_kept_as_hashes(client: AsyncClient, parts: Parts) -> None:
    person = await register(client, "hashed")
    async with parts.database.reading() as session:
        rows = (await session.execute(text("SELECT t::text FROM refresh_tokens t"))).scalars().all()
    assert rows
    assert not any(person.refresh_token in row for row in rows)
