"""The data plane itself: find the model, check the caller, load, predict, count. It knows no HTTP; every door is thin over it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

from mill_kit.problems import Problem, Unavailable
from mill_pack import Prediction, Signature

from mill_serving.access import Access
from mill_serving.admission import Arrivals, Lane
from mill_serving.answers import AnswerCache, Key
from mill_serving.census import Census
from mill_serving.colleagues import Colleagues, Order
from mill_serving.deadline import in_time, refuse_late
from mill_serving.errors import CredentialsMissing, DayUsedUp, MayNotProfile, ModelNotFound, ModelUnavailable
from mill_serving.intake import Intake
from mill_serving.isolation.ward import Ward
from mill_serving.journal import Journal
from mill_serving.pace import Company
from mill_serving.packages import LoadedModel
from mill_serving.performance import Watch
from mill_serving.registry import Registry
from mill_serving.shared_answers import SharedAnswers
from mill_serving.single import Identity
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_serving.snapshot.rollout import Rollout
from mill_serving.statistics import ModelCounters, Statistics
from mill_serving.targets import Principal, Target

_LOOKUPS_WORTH_A_ROW = 4.0
_GENERAL_WAY_MICROSECONDS = 5.0
_SERVER_ERROR = 500
_MOST_HOT = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Hot:
    """What an answer of a target needs besides its package."""

    target: Target
    identity: Identity
    counters: ModelCounters


@dataclass(frozen=True)
class Engine:
    """Used on the event loop. Rows cheaper than `inline_microseconds` are predicted there, and, while no rows come, blocks
    expected to be cheaper than `inline_block_microseconds`; all else in the lane.
    """

    rollout: Rollout
    keeper: SnapshotKeeper
    access: Access
    registry: Registry[LoadedModel]
    lane: Lane
    arrivals: Arrivals
    answers: AnswerCache
    statistics: Statistics
    census: Census
    journal: Journal
    inline_microseconds: float
    inline_block_microseconds: float
    version: str
    default_model: str | None = None
    shared_answers: SharedAnswers | None = None
    colleagues: Colleagues | None = None
    ward: Ward | None = None
    """None where models from outside are trusted like all others."""
    used_up: set[UUID] = field(default_factory=set[UUID])
    company: Company = field(default_factory=Company)
    _hot: dict[str, "_Hot"] = field(default_factory=dict[str, "_Hot"])

    def find(self, name: str, secret: str | None) -> Target:
        """The model as this caller sees it. Shared models need no credentials, and no snapshot."""
        catalogue = self.rollout.catalogue
        target = catalogue.public.get(name)
        if target is not None and target.is_shared and secret is None:
            return target
        caller = self._caller(secret, fallback=target)
        try:
            target = catalogue.find(name, caller)
        except ModelNotFound:
            if self.keeper.in_force is None:
                self.keeper.check()
            raise
        if not target.is_shared:
            self.keeper.check()
            if self.used_up and target.workspace_id in self.used_up:
                raise DayUsedUp
        return target

    def set_used_up(self, workspaces: frozenset[UUID]) -> None:
        """These have no predictions left today; see `tally`."""
        self.used_up.clear()
        self.used_up.update(workspaces)

    def identify(self, secret: str | None) -> Principal | None:
        return None if secret is None else self.access.identify(secret)

    def visible(self, secret: str | None) -> list[Target]:
        return self.rollout.catalogue.visible(self.identify(secret))

    def signature(self, target: Target) -> Signature | None:
        """Known once the package was opened on this replica."""
        return self.rollout.folder.signatures.get(target.sha256)

    def may_profile(self, secret: str | None) -> str:
        """The workspace whose records a profile goes to. Raises `MayNotProfile`, and what `identify` does."""
        if not self.journal.profiling:
            raise MayNotProfile("profiles are switched off; an operator may set MILL_JOURNAL__PROFILING=true")
        caller = self.identify(secret)
        if caller is None:
            raise CredentialsMissing
        if not caller.may_manage:
            raise MayNotProfile("profiles take the role data_scientist or admin, or a key with the scope 'write'")
        return str(caller.workspace_id)

    def suspended(self, target: Target) -> str | None:
        """Why a model from outside is; None where it is not."""
        return None if self.ward is None else self.ward.records.reason(target.version_id)

    async def load(self, target: Target) -> LoadedModel:
        """Raises `ModelUnavailable`; `Overloaded`, `TooManyForModel` or `DeadlineMissed` where it is not loaded yet.

        Of a model from outside `ModelSuspended` and, where it is not loaded yet, `ModelCrashed` too.
        """
        loaded = self.registry.peek(target)
        if loaded is not None and loaded.lane is None:
            return loaded
        if self.ward is not None:
            self.ward.records.refuse(target.version_id)
        if loaded is not None:
            return loaded
        with self.arrivals.one(target.sha256):
            async with in_time():
                return await self.registry.get(target)

    async def load_everywhere(self, target: Target) -> None:
        """In all workers of this replica. Raises what `load` does."""
        await self.obey(Order("load", target.version_id))
        if self.colleagues is not None:
            await self.colleagues.tell(Order("load", target.version_id))

    async def unload(self, target: Target) -> None:
        """In all workers of this replica; the next call loads it again. Raises `ModelUnavailable` where one does not answer."""
        await self.obey(Order("unload", target.version_id))
        if self.colleagues is not None:
            await self.colleagues.tell(Order("unload", target.version_id))

    async def obey(self, order: Order) -> None:
        """In this worker alone. Raises what `load` does. To load is to forgive what has crashed, and to try it again."""
        if order.verb == "crashed":
            if self.ward is not None:
                self.ward.records.note(order.version_id, order.reason)
            return
        target = next((one for one in self.rollout.catalogue.targets() if one.version_id == order.version_id), None)
        if target is not None and self.ward is not None and self.ward.records.forgive(target.version_id):
            self.registry.drop(target)
        if order.verb == "load":
            if target is None:
                raise ModelUnavailable("a worker has not heard of it yet")
            await self.load(target)
        elif target is not None:
            self.registry.drop(target)
        self.census.publish()

    def quick_answer(self, target: Target, body: bytes, begun: float, request_id: bytes) -> bytes | None:
        """The answer to an ordinary row for a loaded model that is cheap enough for the event loop; None goes the general way."""
        loaded = self.registry.peek(target)
        if (
            loaded is None
            or loaded.single is None
            or pays(loaded)
            or loaded.row_microseconds > self.inline_microseconds
            or self.journal.is_next
        ):
            return None
        hot = self._hot.get(target.version_id)
        if hot is None or hot.target is not target:
            hot = self._meet(target)
        try:
            answer = loaded.single.answer(body, begun, hot.identity, request_id)
        except Problem:
            return None
        if answer is not None:
            hot.counters.succeed(begun, 1)
            self.journal.pass_by()
            self.company.row = begun
        return answer

    def quick_block(
        self, target: Target, form: str, size: int, work: Callable[[LoadedModel], tuple[int, T] | None]
    ) -> T | None:
        """Like `predict_block`, at once, for a body of a form that was cheap lately while no rows come; None, and nothing
        counted, for all else.

        `work` may give up (None) or raise a `Problem`: the general way says what is wrong.
        """
        begun = time.perf_counter()
        loaded = self.registry.peek(target)
        if loaded is None or self.journal.is_next or self.company.is_near(begun):
            return None
        if loaded.pace.expected(form, size) > self.inline_block_microseconds:
            return None
        try:
            done = loaded.pace.timed(form, size, lambda: work(loaded))
        except Problem:
            return None
        if done is None:
            return None
        self.statistics.of(target).succeed(begun, done[0])
        self.journal.pass_by()
        return done[1]

    def _meet(self, target: Target) -> "_Hot":
        if len(self._hot) >= _MOST_HOT:
            self._hot.clear()
        takes_unseen = target.policy is None or target.policy.unseen == "accept"
        identity = Identity(target.model_id, target.name, target.version, target.version_id, takes_unseen=takes_unseen)
        hot = self._hot[target.version_id] = _Hot(target, identity, self.statistics.of(target))
        return hot

    async def predict(self, target: Target, row: Mapping[str, object], *, use_cache: bool) -> tuple[Prediction, bool]:
        """The prediction, and whether it was answered from the cache. Raises what the package says of a wrong row."""
        begun = time.perf_counter()
        counters = self.statistics.of(target)
        watch = self.journal.watch()
        try:
            loaded = await self.load(target)
            if target.policy is not None:
                row = Intake(loaded.package, target.policy).prepared_one(row)
            if use_cache and pays(loaded) and (watch is None or watch.lock is None):
                prediction, cached = await self._remembered(target, loaded, row, watch)
                if cached:
                    counters.remember()
            else:
                prediction, cached = await self._one(target, loaded, row, watch), False
        except Problem as problem:
            counters.refuse(problem.status)
            raise
        except Exception:
            counters.refuse(_SERVER_ERROR)
            raise
        counters.succeed(begun, 1)
        if watch is not None:
            self.journal.note(target, watch, 1, cached=cached)
        return prediction, cached

    async def predict_block(
        self,
        target: Target,
        work: Callable[[LoadedModel], tuple[int, T]],
        *,
        form: str = "",
        size: int = 0,
        is_small: bool = False,
    ) -> T:
        """Run `work` (it reads rows, predicts, renders and returns how many) in the lane. Raises `Overloaded` when it is full.

        `form` and `size` are the body's where `quick_block` may be asked for it too.
        `is_small`: of a few rows, not worth a thread where the model is quick.
        """
        begun = time.perf_counter()
        counters = self.statistics.of(target)
        watch = self.journal.watch()
        try:
            loaded = await self.load(target)
            whole = partial(work, loaded)
            timed = partial(loaded.pace.timed, form, size, whole) if form else whole
            rows, result = await self._placed(target, loaded, timed, watch, is_small=is_small)
        except Problem as problem:
            counters.refuse(problem.status)
            raise
        except Exception:
            counters.refuse(_SERVER_ERROR)
            raise
        counters.succeed(begun, rows)
        if watch is not None:
            self.journal.note(target, watch, rows)
        return result

    def _caller(self, secret: str | None, fallback: Target | None) -> Principal | None:
        """Where keys cannot be checked for want of a snapshot, a shared model still answers as to anybody."""
        if secret is None:
            return None
        try:
            return self.access.identify(secret)
        except Unavailable:
            if fallback is not None and fallback.is_shared:
                return None
            raise

    async def _one(
        self, target: Target, loaded: LoadedModel, row: Mapping[str, object], watch: Watch | None
    ) -> Prediction:
        return await self._placed(target, loaded, lambda: loaded.package.predict_one(row), watch, is_small=True)

    async def _placed(
        self, target: Target, loaded: LoadedModel, work: Callable[[], T], watch: Watch | None, *, is_small: bool
    ) -> T:
        """Run `work` here where it is small and the model quick, else in the lane. Raises what the lane does."""
        if watch is not None:
            work = watch.around(work)
        if loaded.lane is not None:
            return await loaded.lane.run(work, target.sha256)
        if is_small and loaded.row_microseconds <= self.inline_microseconds:
            refuse_late()
            return work()
        return await self.lane.run(work, target.sha256)

    async def _remembered(
        self, target: Target, loaded: LoadedModel, row: Mapping[str, object], watch: Watch | None
    ) -> tuple[Prediction, bool]:
        key = self.answers.key(target.sha256, row)
        if key is not None:
            known = self.answers.get(key) or await self._shared(loaded, key)
            if known is not None:
                return known, True
        prediction = await self._one(target, loaded, row, watch)
        if key is not None:
            self.answers.put(key, prediction)
            if self.shared_answers is not None and self.shared_answers.pays(loaded.row_microseconds):
                self.shared_answers.put(key, prediction)
        return prediction, False

    async def _shared(self, loaded: LoadedModel, key: Key) -> Prediction | None:
        if self.shared_answers is None or not self.shared_answers.pays(loaded.row_microseconds):
            return None
        known = await self.shared_answers.get(key)
        if known is not None:
            self.answers.put(key, known)
        return known


def pays(loaded: LoadedModel) -> bool:
    """A look-up, and the general way it needs, is paid by every row and saves only those seen before: one in four must do."""
    lookup = loaded.lookup_microseconds + _GENERAL_WAY_MICROSECONDS
    return loaded.row_microseconds > _LOOKUPS_WORTH_A_ROW * lookup
