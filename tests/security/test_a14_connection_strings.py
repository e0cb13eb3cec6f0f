"""A14: nobody hands a service a connection string: no schema has room for one, and one that is smuggled in is refused."""

import pytest
from httpx import AsyncClient
from mill_pack.errors import InvalidExpression
from mill_pack.expressions import compile_expression

from tests.security.support import Estate, wish

STRINGS = (
    "postgresql://postgres@127.0.0.1/modelmill?options=-c%20row_security%3Doff",
    "jdbc:h2:mem:;INIT=RUNSCRIPT FROM 'http://127.0.0.1:9/x.sql'",
    "jdbc:mysql://127.0.0.1/?allowLoadLocalInfile=true",
    "redis://:x@127.0.0.1:6379/0",
    "s3://key:secret@127.0.0.1:9000/bucket",
    "sqlite:////etc/passwd",
    "duckdb:///tmp/x.db",
)


@pytest.mark.parametrize("string", STRINGS)
async def test_a_connection_string_is_a_field_that_nobody_knows(
    client: AsyncClient, victim: Estate, string: str
) -> None:
    headers = victim.owner.headers
    for name in ("url", "dsn", "connection", "source", "store_url", "database_url"):
        for path, body in (("/api/v1/projects", {"name": "x"}), ("/api/v1/models", wish(victim, name="x"))):
            answer = await client.post(path, headers=headers, json={**body, name: string})
            assert answer.status_code == 422, (path, name)
        uploaded = await client.post(
            "/api/v1/datasets",
            headers=headers,
            data={"project_id": victim.ids["project_id"], "name": "x", name: string},
            files={"file": ("t.csv", b"a,label\n1,x\n", "text/csv")},
        )
        assert uploaded.status_code == 422, uploaded.text


@pytest.mark.parametrize("string", STRINGS)
def test_an_expression_is_arithmetic_and_no_door_to_a_database(string: str) -> None:
    """Derived features are the one little language there is."""
    tries = (
        string,
        f"read_csv('{string}')",
        f"(SELECT 1 FROM '{string}')",
        "__import__('os').system('id')",
        "a.__class__",
        "a[0]",
    )
    for text in (
        *tries,
        "lambda: a",
        "a if a else b",
        "[a for a in b]",
        "f'{a}'",
        "open('/etc/passwd')",
        "a := 1",
        "exec('1')",
    ):
        with pytest.raises(InvalidExpression):
            compile_expression(text, ["a", "b"])
