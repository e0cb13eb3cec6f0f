"""A16: a multipart body cannot make the api-server slow, large or wrong, whatever its headers, parts and boundaries say."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mill_api.storage.multipart import MultipartReader
from mill_kit.problems import Problem

from tests.security.evidence import sized
from tests.security.support import CSV, Estate

PART = b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FILE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\n' + CSV + b"\r\n"
END = b"--edge--\r\n"
TYPE = "multipart/form-data; boundary=edge"


async def send(client: AsyncClient, estate: Estate, body: Any, content_type: str = TYPE) -> tuple[Response, float]:
    begun = time.process_time()
    headers = {**estate.owner.headers, "Content-Type": content_type}
    answer = await client.post("/api/v1/datasets", content=body, headers=headers)
    return answer, time.process_time() - begun


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=" + "a" * 100_000,
        "multipart/form-data; " + "a;" * 50_000,
        'multipart/form-data; boundary="' + "\\" * 50_000,
        'multipart/form-data; !="' + "\\" * 50_000 + '"',
        "multipart/form-data; boundary*=UTF-8''edge; boundary=other",
        "multipart/form-data; boundary=" + " " * 50_000,
        "multipart/form-data",
        "multipart/mixed; boundary=edge",
        "application/x-www-form-urlencoded; " + "\\;" * 50_000,
        "text/csv",
        "application/vnd.python.pickle",
    ],
)
async def test_a_hostile_content_type_is_refused_quickly(
    client: AsyncClient, victim: Estate, content_type: str
) -> None:
    answer, seconds = await send(client, victim, FILE + END, content_type)
    assert answer.status_code in {400, 413, 415, 422, 431}, answer.text
    assert seconds < 2


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("100,000 parts", PART % (b"tags", b"x") * 100_000 + FILE + END),
        ("a text part of 20 MB", PART % (b"description", b"x" * 20_000_000) + FILE + END),
        ("a header of 1 MB", b"--edge\r\nX-Long: " + b"x" * 2**20 + b"\r\n\r\nx\r\n" + FILE + END),
        ("100,000 headers", b"--edge\r\n" + b"X-A: 1\r\n" * 100_000 + b"\r\nx\r\n" + FILE + END),
        ("line ends before the boundary", b"\r\n" * 500_000 + FILE + END),
        ("junk before the boundary", b"x" * 2**20 + FILE + END),
        ("no end", FILE),
        ("two files", FILE + FILE + END),
        ("no file", PART % (b"name", b"x") + END),
        ("nothing", b""),
        ("only an end", END),
        ("a header without a name", b"--edge\r\n: x\r\n\r\nx\r\n" + END),
        (
            "a NUL in a header",
            b'--edge\r\nContent-Disposition: form-data; name="f\0ile"; filename="t"\r\n\r\nx\r\n' + END,
        ),
        (
            "another encoding of the part",
            FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + END,
        ),
    ],
)
async def test_a_hostile_body_is_refused_quickly(client: AsyncClient, victim: Estate, title: str, body: bytes) -> None:
    answer, seconds = await send(client, victim, body)
    assert 400 <= answer.status_code < 500, (title, answer.text)
    assert seconds < 5, title


async def test_junk_after_the_end_changes_nothing(client: AsyncClient, victim: Estate) -> None:
    fields = PART % (b"project_id", victim.ids["project_id"].encode()) + PART % (b"name", b"junk behind")
    answer, seconds = await send(client, victim, fields + FILE + END + b"--edge\r\n" * 50_000 + b"x" * 2**20)
    assert answer.status_code in {201, 400, 422}, answer.text
    assert seconds < 5


async def test_a_body_in_drips_is_read_as_it_comes(client: AsyncClient, victim: Estate) -> None:
    whole = PART % (b"project_id", victim.ids["project_id"].encode()) + PART % (b"name", b"dripping") + FILE + END

    async def drips() -> AsyncIterator[bytes]:
        for position in range(len(whole)):
            yield whole[position : position + 1]

    answer, _ = await send(client, victim, drips())
    assert answer.status_code == 201, answer.text


HEADS = st.sampled_from(
    [
        b"Content-Disposition: form-data; ",
        b"content-disposition:",
        b"X: ",
        b"",
        b"--edge",
        b"\r\n",
        b'name="file"; filename="',
    ]
)
PIECES = st.one_of(
    HEADS,
    st.binary(max_size=40),
    st.sampled_from([b"--edge\r\n", b"--edge--", b"\r\n\r\n", b"\r\n", FILE, END, PART % (b"a", b"b")]),
)


@given(st.lists(PIECES, max_size=12), st.integers(1, 64))
@settings(
    max_examples=sized(300, 20_000),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_no_bytes_make_the_reader_fail_in_another_way_than_by_refusing(pieces: list[bytes], step: int) -> None:
    reader, body = MultipartReader(TYPE), b"".join(pieces)
    try:
        for position in range(0, len(body), step):
            reader.feed(body[position : position + step])
        reader.finish()
    except Problem:
        return
    assert reader.file_name is not None
    assert len(reader.take()) <= len(body)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: "multipart/form-data; " + raw.decode("latin-1")))
@settings(max_examples=sized(200, 10_000), deadline=None, derandomize=True)
def test_no_content_type_makes_the_reader_fail_in_another_way_than_by_refusing(content_type: str) -> None:
    try:
        MultipartReader(content_type)
    except (Problem, UnicodeEncodeError):
        return
