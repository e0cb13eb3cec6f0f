"""One worker process: Celery's threads pool in front, one event loop behind. Called by `worker.cli` and by tests.

SIGTERM sets `stopping`: children are ended, their jobs go back to the queue, and the process is gone within seconds; a timer
ends it by force where something hangs.
"""

# Celery comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUntypedFunctionDecorator=false
# pyright: reportUnknownArgumentType=false
import asyncio
import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning
from mill_kit.logs import get_logger

from mill_api.queue.apps import CANARY, WAKE, worker_app
from mill_api.settings import ProcessSettings
from mill_api.worker.house import House, Identity, MakeRegistry, open_house

EXIT_DEAF = 75
_EXIT_FORCED = 70
_START_PATIENCE = 60.0
_SPARE_THREADS = 2
"""Hints that come while every slot is busy, and canaries, find a thread; how many jobs run at once is the house's rule."""
_CHATTY = ("celery.worker.strategy", "celery.app.trace")


def run(settings: ProcessSettings, identity: Identity, make_registry: MakeRegistry) -> int:
    """Until SIGTERM or SIGINT; returns the exit status. Must be called from the main thread."""
    with _loop_thread() as loop:
        keeper = _Keeper(settings, identity, make_registry)
        done = asyncio.run_coroutine_threadsafe(keeper.keep(), loop)
        house = keeper.await_house(done)
        app = worker_app(settings.broker.url.get_secret_value(), identity.queues)
        _give_tasks(app, house, loop)

        def stop(**_signal: Any) -> None:
            loop.call_soon_threadsafe(house.stopping.set)
            timer = threading.Timer(settings.worker.shutdown_seconds, os._exit, (_EXIT_FORCED,))
            timer.daemon = True
            timer.start()

        signals.worker_shutting_down.connect(stop, weak=False)
        signals.setup_logging.connect(_keep_our_logging, weak=False)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", category=SecurityWarning)  # about pickle as root: this worker takes JSON only
        worker: Any = app.Worker(
            hostname=identity.node,
            pool_cls="threads",
            concurrency=identity.concurrency + _SPARE_THREADS,
            without_mingle=True,
            without_gossip=True,
            quiet=True,
        )
        worker.start()
        loop.call_soon_threadsafe(house.stopping.set)
        with contextlib.suppress(Exception):
            done.result(settings.worker.shutdown_seconds)
        return EXIT_DEAF if house.silent.is_set() else 0


def _keep_our_logging(**_signal: Any) -> None:
    """Somebody listens, so Celery leaves handlers and levels alone."""


class _Keeper:
    """Opens the house on the loop and keeps it until it is told to stop."""

    def __init__(self, settings: ProcessSettings, identity: Identity, make_registry: MakeRegistry) -> None:
        self._wanted = (settings, identity, make_registry)
        self._house: Future[House] = Future()

    def await_house(self, keeping: "Future[None]") -> House:
        """Raises what went wrong while opening."""
        keeping.add_done_callback(self._pass_on)
        return self._house.result(_START_PATIENCE)

    async def keep(self) -> None:
        async with open_house(*self._wanted) as house:
            self._house.set_result(house)
            reconciling = asyncio.create_task(house.reconcile())
            deaf = asyncio.create_task(house.silent.wait())
            await asyncio.wait({reconciling, deaf}, return_when=asyncio.FIRST_COMPLETED)
            if house.silent.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
            deaf.cancel()
            await reconciling
            await house.idle.wait()

    def _pass_on(self, keeping: "Future[None]") -> None:
        if not self._house.done() and (error := keeping.exception()) is not None:
            self._house.set_exception(error)


def _give_tasks(app: Celery, house: House, loop: asyncio.AbstractEventLoop) -> None:
    """The two shells: each hands its hint to the loop and waits. No retry, no result: Postgres knows."""

    def in_loop(coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        except Exception:
            get_logger().exception("shell_failed")

    @app.task(name=WAKE)
    def wake(_job_id: str) -> None:  # pyright: ignore[reportUnusedFunction]
        in_loop(house.drain())

    @app.task(name=CANARY)
    def canary(_node: str) -> None:  # pyright: ignore[reportUnusedFunction]
        in_loop(house.canary_ran())


@contextmanager
def _loop_thread() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mill-loop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2)
        if not loop.is_running():
            loop.close()
