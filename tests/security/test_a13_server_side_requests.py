"""A13: no request makes a service fetch anything. No field of any request takes an address, and one that is sent is text."""

# OpenAPI documents are walked as plain JSON.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.app import openapi_document
from mill_serving.app import VERSION
from mill_serving.doors.documents import create_documents

from tests.security.support import Estate, upload, wish

ADDRESS = re.compile(
    r"(^|_)(ur[li]s?|href|link|host(name)?|endpoint|dsn|webhook|callback|redirect|proxy|remote|connection)($|_)"
)
KNOWN = {
    "invitation": "links are shown to people, and never followed",
}


def fields(schema: Any, where: str = "") -> Generator[tuple[str, dict[str, Any]]]:
    """Every named field at any depth of an OpenAPI document's requests."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{where}/{name}", inner
        for name, inner in schema.items():
            yield from fields(inner, f"{where}/{name}")
    elif isinstance(schema, list):
        for one in schema:
            yield from fields(one, where)


def request_fields(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Of every body, with what it refers to, and of every parameter."""
    schemas, found, seen = (
        document.get("components", {}).get("schemas", {}),
        list[tuple[str, dict[str, Any]]](),
        set[str](),
    )

    def follow(schema: Any) -> None:
        found.extend(fields(schema))
        for name in re.findall(r"#/components/schemas/([^'\"]+)", str(schema)):
            if name not in seen:
                seen.add(name)
                follow(schemas[name])

    for verbs in document["paths"].values():
        for operation in verbs.values():
            follow(operation.get("requestBody", {}))
            found.extend((one["name"], one.get("schema", {})) for one in operation.get("parameters", []))
    return found


@pytest.mark.parametrize("service", ["api-server", "ml-service"])
def test_no_field_of_a_request_takes_an_address(service: str) -> None:
    document = openapi_document() if service == "api-server" else create_documents(VERSION).openapi()
    found = request_fields(document)
    assert len(found) > 20
    suspicious = [
        name
        for name, schema in found
        if (
            ADDRESS.search(name.rpartition("/")[2].lower())
            or schema.get("format") in {"uri", "url", "hostname", "ipv4"}
        )
        and not any(known in name for known in KNOWN)
    ]
    assert suspicious == []


@contextmanager
def listener() -> Generator[tuple[int, list[bytes]]]:
    """A port that notes whoever comes."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    came.append(b"somebody")

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            stop.set()
            thread.join()


async def test_addresses_in_text_fields_are_never_visited(
    client: AsyncClient, serving: AsyncClient, victim: Estate
) -> None:
    headers = victim.owner.headers
    with listener() as (port, came):
        for address in (
            f"http://127.0.0.1:{port}/x",
            f"http://localhost:{port}/x",
            f"http://[::ffff:127.0.0.1]:{port}/x",
            f"http://2130706433:{port}/x",
            f"http://0177.0.0.1:{port}/x",
            f"gopher://127.0.0.1:{port}/_PING",
            f"s3://127.0.0.1:{port}/bucket",
            f"redis://127.0.0.1:{port}/0",
            f"//127.0.0.1:{port}/x",
        ):
            await client.post(
                "/api/v1/projects",
                headers=headers,
                json={"name": address, "description": address, "config": {"url": address}},
            )
            await client.post(
                "/api/v1/models", headers=headers, json=wish(victim, name="m", description=address, target=address)
            )
            await client.post(
                "/api/v1/predictions", headers=headers, json={"model": address, "input_data": {"url": address}}
            )
            await upload(
                client,
                headers,
                victim.ids["project_id"],
                name="addresses",
                file_name=address,
                data=f"a,label\n{address},x\n".encode(),
            )
            await client.get(
                "/api/v1/projects",
                headers={**headers, "Host": f"127.0.0.1:{port}", "X-Forwarded-Host": f"127.0.0.1:{port}"},
            )
            await serving.post("/predict/demo_model_1", json={"input_data": {"url": address}})
            await serving.post(
                "/v2/repository/models/x/load", json={"parameters": {"config": address, "file:1/model.onnx": address}}
            )
        assert came == []
