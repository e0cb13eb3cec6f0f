"""A5: no string in a file name or a path makes a service write or delete outside the store; `filename*` smuggles nothing in."""

from pathlib import Path
from urllib.parse import quote

import pytest
from httpx import AsyncClient, Response
from mill_kit.problems import Problem
from mill_kit.store.folder import FileStore

from tests.security.evidence import Evidence
from tests.security.strings import tried
from tests.security.support import CSV, Estate, api_routes, tree

TESTS = "test_a05_traversal_write.py"


def surroundings(installation: Path) -> dict[str, tuple[int, int]]:
    """All files beside the object store, and what lies two folders further up."""
    return {
        name: facts
        for name, facts in tree(installation.parent).items()
        if "/objects/" not in name and "/serving/" not in name and "/scratch/" not in name
    }


async def send(client: AsyncClient, estate: Estate, disposition: bytes, extra: bytes = b"") -> Response:
    """One upload whose file part has exactly this Content-Disposition."""
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="project_id"\r\n\r\n'
        + estate.ids["project_id"].encode()
        + b"\r\n"
        b'--edge\r\nContent-Disposition: form-data; name="name"\r\n\r\nSmuggled\r\n'
        b"--edge\r\nContent-Disposition: "
        + disposition
        + b"\r\n"
        + extra
        + b"Content-Type: text/csv\r\n\r\n"
        + CSV
        + b"\r\n--edge--\r\n"
    )
    headers = {**estate.owner.headers, "Content-Type": "multipart/form-data; boundary=edge"}
    return await client.post("/api/v1/datasets", content=body, headers=headers)


async def test_no_uploaded_name_becomes_a_file(client: AsyncClient, victim: Estate, installation: Path) -> None:
    evidence = Evidence(34, "Traversal is impossible: names of uploads", TESTS, full=200)
    before = surroundings(installation)
    for text in tried():
        name = text.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"").replace(b'"', b"%22")
        answer = await send(client, victim, b'form-data; name="file"; filename="' + name + b'"')
        evidence.count(failed=answer.status_code not in {201, 400, 422})
        assert answer.status_code in {201, 400, 422}, (text, answer.text)
    changed = set(surroundings(installation)) ^ set(before)
    evidence.failures += len(changed)
    evidence.keep()
    assert changed == set()
    assert surroundings(installation) == before


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="file"; filename="a.csv"; filename*=UTF-8\'\'..%2f..%2fetc%2fpasswd',
        b"form-data; name=\"file\"; filename*=UTF-8''%2e%2e%2fcanary.txt",
        b'form-data; name="file"; filename*0="../"; filename*1="canary.txt"',
        b"form-data; name=\"file\"; filename*0*=UTF-8''..%2f; filename*1=canary.txt",
        b"form-data; name*=UTF-8''file; filename=\"a.csv\"",
        b'form-data; name="file"; name="project_id"; filename="a.csv"',
        b'form-data; name="file"; filename="a.csv"; filename="../b.csv"',
        b'attachment; name="file"; filename="a.csv"',
        b'form-data; name="file"; filename="C:\\\\fakepath\\\\..\\\\a.csv"',
        b'form-data; name="file"; filename="' + b"a" * 60_000 + b'.csv"',
        b"form-data; name=\"file\"; filename*=UTF-8''%00%ff%fe",
        b"form-data; name=\"file\"; filename*=latin-1'en'..%5c",
        b"form-data; name=\"file\"; filename*=no-such-charset''a.csv",
    ],
)
async def test_smuggled_names_are_labels_or_refused(
    client: AsyncClient, victim: Estate, installation: Path, disposition: bytes
) -> None:
    before = surroundings(installation)
    answer = await send(client, victim, disposition)
    assert answer.status_code in {201, 400, 422}, answer.text
    if answer.status_code == 201:
        assert not answer.json()["file_name"].startswith("/")
    assert surroundings(installation) == before


async def test_no_delete_or_change_reaches_outside(client: AsyncClient, victim: Estate, installation: Path) -> None:
    evidence = Evidence(34, "Traversal is impossible: deleting", TESTS, full=200)
    before = surroundings(installation)
    routes = [(verb, path) for verb, path in api_routes() if verb in {"DELETE", "PATCH", "POST"} and "{" in path]
    for text in tried():
        for segment in {
            quote(text.encode("utf-8", "surrogatepass"), safe=""),
            quote(quote(text.encode("utf-8", "surrogatepass")), safe=""),
        }:
            for verb, path in routes:
                head, _, rest = path.partition("{")
                address = head + segment + rest.partition("}")[2]
                answer = await client.request(verb, victim.path(address), headers=victim.owner.headers, json={})
                evidence.count(failed=answer.status_code < 400 or answer.status_code >= 500)
                assert 400 <= answer.status_code < 500, (verb, address, answer.text)
    evidence.keep()
    assert surroundings(installation) == before


def test_the_folder_store_writes_and_deletes_inside_alone(tmp_path: Path) -> None:
    (tmp_path / "canary.txt").write_text("untouched")
    store = FileStore(tmp_path / "objects")
    store.put("datasets/a/b/raw", b"ours")
    for text in tried():
        for key in (text, f"datasets/{text}", f"datasets/a/{text}"):
            for act in (lambda key=key: store.put(key, b"theirs"), lambda key=key: store.delete(key)):
                try:
                    act()
                except (Problem, ValueError, OSError, KeyError):
                    continue
    assert (tmp_path / "canary.txt").read_text() == "untouched"
    assert {path.name for path in tmp_path.iterdir()} == {"canary.txt", "objects"}
