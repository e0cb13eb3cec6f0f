"""A15 and A23's other half: text that people type stays text: no line of a log, no header, no page and no query is made of it."""

import json
import re
from typing import Any

import pytest
from httpx import AsyncClient
from mill_kit import logs
from mill_kit.logs import get_logger

from tests.security.support import Estate, upload, wish

TEXTS = (
    "line\nbreak",
    "carriage\rreturn",
    '\n{"level": "info", "event": "forged"}',
    "\r\nSet-Cookie: stolen=1",
    "{{7*7}}",
    "${7*7}",
    "{% import os %}{{ os.popen('id').read() }}",
    "%(secret)s {0.__class__} %n%n%s",
    "$(touch /tmp/executed)",
    "`touch /tmp/executed`",
    "; touch /tmp/executed #",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; DROP TABLE projects; --",
    "\\'; SELECT pg_sleep(5); --",
    "%' OR '1'='1",
    "=cmd|' /C calc'!A0",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "${jndi:ldap://127.0.0.1:9/x}",
    "__proto__",
)


def unchanged(document: Any, text: str) -> bool:
    return text in json.dumps(document, ensure_ascii=False) or json.dumps(text)[1:-1] in json.dumps(document)


@pytest.mark.parametrize("text", TEXTS)
async def test_text_is_kept_as_it_is_or_refused(client: AsyncClient, victim: Estate, text: str) -> None:
    headers = victim.owner.headers
    made = await client.post(
        "/api/v1/projects",
        headers=headers,
        json={"name": text, "description": text, "tags": [text], "config": {text: text}},
    )
    assert made.status_code in {201, 409, 422}, made.text
    if made.status_code == 201:
        assert made.json()["name"] == text.strip()
        assert made.json()["config"] == {text: text}
    table = f'"{text.replace(chr(34), chr(34) * 2)}",label\n1,x\n2,y\n'.encode()
    for answer in (
        await upload(client, headers, victim.ids["project_id"], name=text, file_name=text, data=table),
        await client.post(
            "/api/v1/models", headers=headers, json=wish(victim, name=text, description=text, tags=[text], target=text)
        ),
        await client.post("/api/v1/api-keys", headers=headers, json={"name": text}),
        await client.patch("/api/v1/users/me", headers=headers, json={"full_name": text}),
        await client.get("/api/v1/projects", headers=headers, params={"search": text, "tag": text}),
        await client.post("/api/v1/predictions", headers=headers, json={"model": text, "input_data": {text: text}}),
    ):
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert "set-cookie" not in answer.headers
        assert "text/html" not in answer.headers["content-type"]
        assert answer.headers["content-type"].startswith("application/")


@pytest.mark.parametrize("text", TEXTS)
async def test_no_path_or_header_is_reflected_as_a_page(client: AsyncClient, serving: AsyncClient, text: str) -> None:
    for service in (client, serving):
        for path in ("/", "/docs/", "/models/", "/api/v1/projects/"):
            address = path + re.sub(r"[^ -~]|[#?%]", "", text).replace(" ", "%20")
            answer = await service.get(address, headers={"X-Request-ID": re.sub(r"[^ -~]", "", text)})
            assert answer.status_code < 500
            if "text/html" in answer.headers.get("content-type", ""):
                assert "<script>alert" not in answer.text
                assert "onerror=alert" not in answer.text
            returned = answer.headers.get("x-request-id", "")
            assert re.fullmatch(r"[\w.\-]*", returned), returned


@pytest.mark.parametrize("text", TEXTS)
def test_a_log_line_is_one_line_of_json_whatever_it_holds(capsys: pytest.CaptureFixture[str], text: str) -> None:
    logs.configure("security", level="INFO")
    try:
        get_logger().info("named", name=text, field=text)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert json.loads(lines[0])["name"] == text
        assert "\x1b" not in lines[0]
    finally:
        logs.configure("security", level="ERROR")


async def test_downloads_are_never_shown_by_a_browser(client: AsyncClient, victim: Estate) -> None:
    """A table can hold a page: it is sent as an attachment of an opaque type."""
    page = b"<html><script>alert(1)</script></html>,label\n1,x\n2,y\n"
    made = await upload(
        client, victim.owner.headers, victim.ids["project_id"], name="a page", file_name="page.html", data=page
    )
    answer = await client.get(f"/api/v1/datasets/{made.json()['id']}/download", headers=victim.owner.headers)
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"] == "application/octet-stream"
