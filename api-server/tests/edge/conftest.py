"""Applications with an edge of their own: limits on, CORS on, other parts away."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.settings import Settings

MakeClient = Callable[..., AbstractAsyncContextManager[AsyncClient]]


@pytest.fixture
def serving(settings: Settings) -> MakeClient:
    """A client of an application whose settings are changed by the keyword arguments; it calls from a new address or `address`."""

    @asynccontextmanager
    async def made(address: str = "", scheme: str = "http", **changes: Any) -> AsyncGenerator[AsyncClient]:
        given = settings.model_dump()
        for name, values in changes.items():
            given[name] = {**given[name], **values} if isinstance(values, dict) else values
        app = create_app(Settings.model_validate(given))
        async with LifespanManager(app, startup_timeout=30, shutdown_timeout=30):
            transport = ASGITransport(app, client=(address or _somewhere(), 4711))
            async with AsyncClient(transport=transport, base_url=f"{scheme}://modelmill.test") as client:
                yield client

    return made


def _somewhere() -> str:
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
