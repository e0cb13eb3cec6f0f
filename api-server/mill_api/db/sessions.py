"""Sessions that carry their tenant. The app role sees the rows of `mill.tenant` only; without one it sees none.

The tenant is set inside each transaction (`set_config(…, true)`), so a pooled connection never remembers it.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mill_contracts.ids import WorkspaceId
from mill_kit.telemetry import OFF, Kind, Tracer
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from mill_api.db.away import say_away
from mill_api.db.pool import PresentClientsPool
from mill_api.db.unit_of_work import ReadSession, UnitOfWork, Wake, WriteSession

_GET_TENANT = text("SELECT current_setting('mill.tenant', true)")
_SYSTEM = {"db.system.name": "postgresql"}
_SET_TENANT = text("SELECT set_config('mill.tenant', :tenant, true)")


@dataclass(frozen=True)
class Database:
    """One engine, made for one event loop. `close` it when the loop ends. `wake` is what its units of work call for a new job.

    Each transaction is a step of the work that `tracer` follows.
    """

    engine: AsyncEngine
    wake: Wake | None = None
    tracer: Tracer = OFF

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        pool_size: int = 10,
        wait_seconds: float = 5,
        application: str = "mill-api",
        wake: Wake | None = None,
        tracer: Tracer = OFF,
    ) -> "Database":
        """`url` is `postgresql://…` or `postgresql+asyncpg://…`; nothing is opened before the first use.

        At most `pool_size` connections, which are kept: one that is opened for a moment costs more than what it does.
        """
        engine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1),
            poolclass=PresentClientsPool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=wait_seconds,
            pool_pre_ping=True,
            connect_args={
                "timeout": 5,
                "command_timeout": 60,
                "server_settings": {
                    "application_name": application,
                    "timezone": "UTC",
                    "idle_in_transaction_session_timeout": "60000",
                },
            },
        )
        event.listen(engine.sync_engine, "handle_error", say_away)
        return cls(engine, wake, tracer)

    @asynccontextmanager
    async def reading(self, tenant: WorkspaceId | None = None) -> AsyncGenerator[ReadSession]:
        """A read-only transaction; nothing can be written through it."""
        engine = self.engine.execution_options(postgresql_readonly=True)
        with self.tracer.step("database read", Kind.CLIENT, _SYSTEM):
            async with _session(engine, tenant) as session:
                yield ReadSession(session)

    @asynccontextmanager
    async def writing(self, tenant: WorkspaceId | None = None) -> AsyncGenerator[UnitOfWork]:
        """One transaction: committed when the block ends well, rolled back when it raises."""
        with self.tracer.step("database write", Kind.CLIENT, _SYSTEM):
            async with _session(self.engine, tenant) as session:
                work = UnitOfWork(WriteSession(session), self.wake, self.tracer)
                yield work
                await work.finish()

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def acting_in(work: UnitOfWork, tenant: WorkspaceId) -> AsyncGenerator[None]:
    """The rest of the block writes into `tenant`, in the same transaction: for the request that makes a tenant."""
    before = await work.session.scalar(_GET_TENANT)
    await work.session.execute(_SET_TENANT, {"tenant": str(tenant)})
    yield
    await work.session.flush()
    await work.session.execute(_SET_TENANT, {"tenant": before or ""})


def _session(engine: AsyncEngine, tenant: WorkspaceId | None) -> AsyncSession:
    session = AsyncSession(engine, expire_on_commit=False, autoflush=False)
    if tenant is not None:
        set_tenant(session, tenant)
    return session


def set_tenant(session: AsyncSession, tenant: WorkspaceId) -> None:
    """Let every transaction of `session` that begins from now on see the rows of `tenant`."""

    @event.listens_for(session.sync_session, "after_begin")
    def begin(_session: Session, _transaction: SessionTransaction, connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute(_SET_TENANT, {"tenant": str(tenant)})
