"""The composition root: the one place that knows all parts of the data plane."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from mill_kit import signing
from mill_kit.http.addresses import TrustedProxies
from mill_kit.http.health import Check, Health, HealthCollector
from mill_kit.logs import get_logger
from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store
from mill_kit.telemetry import Tracer, open_tracer
from mill_kit.telemetry.store import traced

from mill_serving.access import Access
from mill_serving.admission import Arrivals, Lane
from mill_serving.answers import AnswerCache
from mill_serving.cells import Cells
from mill_serving.census import Census
from mill_serving.colleagues import Colleagues
from mill_serving.doors.batch import BatchDoor
from mill_serving.doors.documents import create_documents
from mill_serving.doors.doorway import Doorway
from mill_serving.doors.explain import ExplainDoor
from mill_serving.doors.front import Front
from mill_serving.doors.http import RequestIds
from mill_serving.doors.mlflow import ScoringDoor
from mill_serving.doors.model import ModelDoor
from mill_serving.doors.operations import metrics_route
from mill_serving.doors.predict import PredictDoor
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2.rest import InferenceDoor
from mill_serving.engine import Engine
from mill_serving.files import private_folder
from mill_serving.isolation.house import follow, house_of
from mill_serving.isolation.news import CrashNews
from mill_serving.journal import Journal
from mill_serving.limited import LimitedEngine
from mill_serving.limits import Limiter, Rates
from mill_serving.metrics import EngineCollector
from mill_serving.packages import LoadedModel, PackageFolder, StoreHandle
from mill_serving.registry import Registry
from mill_serving.settings import CacheSettings, JournalSettings, ServingSettings, Settings, StoreSettings
from mill_serving.shared import find_shared
from mill_serving.shared_answers import SharedAnswers
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_serving.snapshot.line import RedisLine
from mill_serving.snapshot.rollout import Reporter, Rollout
from mill_serving.snapshot.sources import RedisSource, StoreSource
from mill_serving.statistics import Statistics
from mill_serving.tally import DayTally
from mill_serving.targets import Target
from mill_serving.workers import Seat

VERSION = version("mill-serving")
_ANSWER_LINE_SECONDS = 1.0


@dataclass(frozen=True)
class Parts:
    """Everything the running service consists of; tests look into it."""

    settings: Settings
    engine: Engine
    limiter: Limiter | None
    health: Health
    front: Front
    documents: FastAPI
    tracer: Tracer
    store_source: StoreSource
    line: RedisLine | None
    redis_source: RedisSource | None
    reporter: Reporter | None

    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        found: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.engine.rollout.run,
            self.engine.census.run,
            self.engine.journal.run,
        ]
        ward, colleagues = self.engine.ward, self.engine.colleagues
        if colleagues is not None:
            found.append(colleagues.run)
        if ward is not None:
            found.append(ward.run)
        if ward is not None and colleagues is not None:
            found.append(CrashNews(ward, colleagues).run)
        if self.engine.shared_answers is not None:
            found.append(self.engine.shared_answers.run)
        if self.settings.serving.grpc_port is not None:
            found.append(_grpc_door(self).run)
        if self.settings.store.url:
            found.append(self.store_source.run)
        if self.redis_source and self.reporter:
            found += [self.redis_source.run, self.reporter.run]
        if self.line and self.limiter is not None:
            found.append(partial(self.limiter.run, self.line, self.settings.rates.settle_seconds))
        if self.line and self.reporter:
            found.append(_tally(self.engine, self.line, self.reporter.replica).run)
        return found


def create_app(settings: Settings, seat: Seat | None = None) -> Parts:
    """Builds without starting: `parts.front` is the ASGI app, its lifespan starts the sources and the rollout.

    `seat` is given to a worker that shares the replica with others.
    """
    serving = settings.serving
    packages = private_folder(serving.cache_dir / "packages")
    tracer = _tracer(settings, seat)
    store = StoreHandle(_opener(settings.store, tracer))
    keeper = SnapshotKeeper(serving.cache_dir / "snapshot.json", _publishers(settings), serving.snapshot_max_age_hours)
    apart = house_of(serving, seat)
    folder = PackageFolder(packages, store, apart=apart)
    budget = serving.cache_bytes // (seat.count if seat else 1)
    registry = Registry[LoadedModel](folder.load, budget, warm=folder.warm if apart else None)
    rollout = Rollout(keeper, registry, folder, find_shared(serving.shared_models_dir), serving.retry_seconds)
    keeper.on_change = rollout.refresh
    if apart is not None:
        follow(rollout, apart.ward)
    line = RedisLine(settings.cache.url.get_secret_value()) if settings.cache.url else None
    limiter = _limiter(settings)
    engine = _engine(settings, limiter, rollout, seat, _journal(line, settings.journal))
    if engine.colleagues is not None:
        engine.colleagues.obey = engine.obey
    source = StoreSource(store, keeper, settings.store.poll_seconds)
    listener = RedisSource(line, keeper) if line else None
    health = _health(engine, source if settings.store.url else None, listener)
    documents = create_documents(VERSION)
    parts = Parts(
        settings=settings,
        engine=engine,
        limiter=limiter,
        health=health,
        front=_front(engine, documents, serving, health),
        documents=documents,
        tracer=tracer,
        store_source=source,
        line=line,
        redis_source=listener,
        reporter=_reporter(line, rollout, settings, seat) if line else None,
    )
    documents.state.engine = engine
    documents.router.lifespan_context = _lifespan(parts)
    documents.router.routes += [*health.routes(), metrics_route(EngineCollector(engine), HealthCollector(health))]
    return parts


def _limiter(settings: Settings) -> Limiter | None:
    """None where no limit is set: nothing is counted then."""
    rates = settings.rates.rates()
    if rates == Rates():
        return None
    return Limiter(rates, TrustedProxies.named(settings.trusted_proxies), settings.rates.entries)


def _engine(
    settings: Settings, limiter: Limiter | None, rollout: Rollout, seat: Seat | None, journal: Journal
) -> Engine:
    serving = settings.serving
    token_file = settings.tokens.public_key_file
    lane = Lane(serving.threads, serving.waiting_blocks, serving.waiting_blocks_per_model, serving.longest_wait_seconds)
    arrivals = Arrivals(serving.waiting_calls, serving.waiting_calls_per_model)
    answers = AnswerCache(serving.cached_predictions)
    statistics = Statistics(Cells(seat.cells if seat else None))
    ward = rollout.folder.apart.ward if rollout.folder.apart else None
    shared = _shared_answers(settings.cache)
    make = Engine if limiter is None else partial(LimitedEngine, limiter=limiter)
    return make(
        rollout=rollout,
        keeper=rollout.keeper,
        access=Access(
            rollout.keeper,
            signing.load_public_key(token_file) if token_file else None,
            before_verifying=None if limiter is None else limiter.require_room,
        ),
        registry=rollout.registry,
        lane=lane,
        arrivals=arrivals,
        answers=answers,
        statistics=statistics,
        census=Census(statistics, rollout.registry, answers, lane, arrivals, journal, seat, shared, ward),
        journal=journal,
        inline_microseconds=serving.inline_microseconds,
        inline_block_microseconds=serving.inline_block_microseconds,
        version=VERSION,
        default_model=serving.default_model,
        shared_answers=shared,
        colleagues=Colleagues(seat) if seat else None,
        ward=ward,
    )


def _shared_answers(cache: CacheSettings) -> SharedAnswers | None:
    """On a line of its own, whose calls end soon."""
    if cache.url is None or not cache.answer_seconds:
        return None
    return SharedAnswers(RedisLine(cache.url.get_secret_value(), _ANSWER_LINE_SECONDS), cache.answer_seconds)


def _journal(line: RedisLine | None, wanted: JournalSettings) -> Journal:
    return Journal(line, wanted.one_in, wanted.kept, wanted.record_seconds, wanted.profiling)


def _front(engine: Engine, documents: FastAPI, serving: ServingSettings, health: Health) -> Front:
    statistics, ids, body_bytes = engine.statistics, RequestIds(), serving.max_body_bytes
    doorway, caps = (
        Doorway(statistics, body_bytes, engine.may_profile, serving.open_requests, ids),
        Caps(serving.max_batch_rows, body_bytes),
    )
    one = PredictDoor(engine, statistics, ids, body_bytes, serving.open_requests)
    infer = InferenceDoor(engine, doorway, caps, health)
    sides = (
        ScoringDoor(engine, doorway, caps, health, serving.default_model),
        ModelDoor(engine, doorway, caps),
    )
    batch, explain = BatchDoor(engine, doorway, caps), ExplainDoor(engine, doorway, caps)
    return Front(one, batch, explain, infer, sides, documents, statistics)


def _tally(engine: Engine, line: RedisLine, replica: str) -> DayTally:
    def targets() -> list[Target]:
        return engine.rollout.catalogue.targets()

    return DayTally(line, engine.statistics, targets, engine.set_used_up, replica)


def _grpc_door(parts: Parts) -> Any:
    """Its library is loaded where the port is set, and not before."""
    from mill_serving.doors.v2.grpc.server import GrpcDoor

    serving = parts.settings.serving
    caps = Caps(serving.max_batch_rows, serving.max_body_bytes)
    return GrpcDoor(parts.engine, parts.health, caps, f"{serving.grpc_host}:{serving.grpc_port}", RequestIds())


def _publishers(settings: Settings) -> dict[str, Any]:
    """Only the public key of our own configuration is believed; without one, no snapshot is."""
    path = settings.publish.public_key_file
    if path is None:
        return {}
    key = signing.load_public_key(path)
    return {signing.key_id(key): key}


def _tracer(settings: Settings, seat: Seat | None) -> Tracer:
    """Each worker follows its own requests, where the caller wants them followed."""
    replica = settings.serving.replica
    return open_tracer(settings.telemetry, "ml-service", VERSION, f"{replica}/{seat.number}" if seat else replica)


def _opener(store: StoreSettings, tracer: Tracer) -> Callable[[], ObjectStore] | None:
    url = store.url
    if url is None:
        return None
    access = store.access_key.get_secret_value() if store.access_key else None
    secret = store.secret_key.get_secret_value() if store.secret_key else None
    return lambda: traced(open_store(url, access, secret), tracer)


def _reporter(line: RedisLine, rollout: Rollout, settings: Settings, seat: Seat | None) -> Reporter:
    """Each worker reports for itself: a route is deployed when all of them are ready."""
    cache, serving = settings.cache, settings.serving
    name = f"{serving.replica}/{seat.number}" if seat else serving.replica
    return Reporter(line, rollout, name, serving.address, cache.report_seconds, cache.report_ttl_seconds)


def _health(engine: Engine, source: StoreSource | None, listener: RedisSource | None) -> Health:
    """Ready means: something can be served. The sources being away is shown, and no reason to take a replica out."""

    sources = [one for one in (source, listener) if one is not None]

    async def can_serve() -> None:
        all_asked = all(one.asked for one in sources)
        if not (engine.rollout.shared and all_asked):
            engine.keeper.check()

    async def snapshot_is_fresh() -> None:
        engine.keeper.check()

    optional: dict[str, Check] = {"snapshot": snapshot_is_fresh}
    shown: dict[str, Callable[[], object]] = {}
    if source is not None:
        optional["object_store"] = source.check
    if listener is not None:
        optional["redis"] = listener.check
    if engine.ward is not None:
        optional["uploaded_models"] = engine.ward.check
        shown = {"suspended_models": engine.ward.records.suspended}
    return Health("ml-service", VERSION, required={"models": can_serve}, optional=optional, shown=shown)


def _lifespan(parts: Parts) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        engine = parts.engine
        await asyncio.to_thread(engine.keeper.restore)
        engine.keeper.on_change()
        gc.collect()
        gc.freeze()
        tasks = [asyncio.create_task(_for_ever(run)) for run in parts.tasks()]
        parts.health.started = True
        try:
            yield
        finally:
            await _end(tasks)
            if parts.reporter and parts.line:
                await parts.reporter.withdraw()
                await parts.line.close()
            if engine.shared_answers is not None:
                await engine.shared_answers.line.close()
            if engine.ward is not None:
                await asyncio.to_thread(engine.ward.close)
            await engine.registry.close()
            engine.lane.close()
            await asyncio.to_thread(parts.tracer.close)

    return lifespan


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Asked again until they end: a client's own timeout at the same moment can swallow a cancellation."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=0.5)


async def _for_ever(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A background task that meets a bug is logged and begun again; predictions go on."""
    while True:
        try:
            await run()
        except Exception as error:
            get_logger().error("background_task_failed", exc_info=error)
            await asyncio.sleep(1.0)
