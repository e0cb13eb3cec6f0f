"""From a target to an open model: fetched into a private folder, its sha256 checked, opened, golden rows replayed, its cost measured.

The registry calls `PackageFolder.load` in its threads. All numbers of a package are checked before it answers anybody.
"""

import asyncio
import functools
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mill_kit.logs import get_logger
from mill_kit.problems import Problem
from mill_kit.store import CorruptObject, ObjectStore, StoreUnavailable
from mill_pack import Engine, GoldenRowsDiffer, Manifest, Package, Signature, open_package
from mill_pack.engines import Shape

from mill_serving.admission import Lane
from mill_serving.answers import AnswerCache
from mill_serving.errors import ModelUnavailable
from mill_serving.files import only_one, sha256_of
from mill_serving.isolation.opening import open_here_or_apart
from mill_serving.isolation.ward import Ward
from mill_serving.pace import Pace
from mill_serving.single import SingleRow
from mill_serving.targets import Target

_COST_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An open package and what one row of it costs, in µs, measured on its own golden rows: to predict, and to look up instead.

    `pace` is what its blocks cost, learnt from those that are asked for. `lane` is set for a model that came from outside: all it
    is asked goes there, to a thread and a process of its own.
    """

    package: Package
    nbytes: int
    row_microseconds: float
    lookup_microseconds: float
    single: SingleRow | None
    pace: Pace = field(default_factory=Pace)
    lane: Lane | None = None


class _Unhurried(Pace):
    """Of a model in a process of its own: the event loop waits for none of its blocks."""

    __slots__ = ()

    def expected(self, form: str, size: int) -> float:  # noqa: ARG002 - whatever the body is
        return math.inf


@dataclass(frozen=True)
class Apart:
    """Where models from outside predict, and how a lane of their own is made."""

    ward: Ward
    lane: Callable[[], Lane]


@dataclass
class StoreHandle:
    """The object store, opened when first needed: a replica starts while the store is away."""

    open: Callable[[], ObjectStore] | None
    _store: ObjectStore | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self) -> ObjectStore:
        with self._lock:
            if self._store is None:
                if self.open is None:
                    raise StoreUnavailable("no object store is configured (MILL_STORE__URL)")
                self._store = self.open()
            return self._store


@dataclass(frozen=True)
class PackageFolder:
    """`folder` holds the packages of this replica by sha256; shared models are read where they lie.

    Those of the folder are private to us and never rewritten, so they are mapped: all workers of this host share their pages.
    `signatures` are remembered of every package opened so far, also after it was evicted.
    """

    folder: Path
    store: StoreHandle
    signatures: dict[str, Signature] = field(default_factory=dict[str, Signature])
    apart: Apart | None = None

    def load(self, target: Target) -> LoadedModel:
        """Blocks. Raises `ModelUnavailable`, saying why. A model from outside is not tried yet: `warm` does that."""
        if self.apart is not None:
            self.apart.ward.records.refuse(target.version_id)
        try:
            package = self._opened(target)
        except Problem as error:
            get_logger().warning("package_refused", version_id=target.version_id, reason=error.detail)
            raise ModelUnavailable(error.detail) from error
        except Exception as error:
            get_logger().error("package_broke_the_loader", version_id=target.version_id, exc_info=error)
            raise ModelUnavailable(f"{type(error).__name__} while opening it; the logs say more") from error
        self.signatures[target.sha256] = package.signature
        if self.apart is not None and package.manifest.is_from_outside:
            return LoadedModel(package, package.nbytes, math.inf, 0.0, None, _Unhurried(), self.apart.lane())
        return LoadedModel(
            package,
            package.nbytes,
            min(_fastest(package, package.predict_one), _fastest(package, _quickly(package))),
            _fastest(package, AnswerCache(1).look_up),
            SingleRow.of(package),
        )

    async def warm(self, loaded: LoadedModel) -> LoadedModel:
        """Start the process of a model from outside, replay its golden rows there and see what it costs. Raises as `load` does."""
        if loaded.lane is None:
            return loaded
        work = loaded.lane.run(functools.partial(_tried, loaded))
        return await asyncio.create_task(work, context=Context())  # nobody's deadline: others wait for it too

    def holds(self, sha256: str) -> bool:
        return (self.folder / f"{sha256}.mill").is_file()

    def forget_all_but(self, wanted: set[str]) -> None:
        """Remove the packages no route speaks of any more."""
        for path in self.folder.glob("*.mill"):
            if path.stem not in wanted:
                path.unlink(missing_ok=True)

    def _opened(self, target: Target) -> Package:
        path, mapped, apart = self._local(target), target.path is None, self.apart
        if apart is None:
            return open_package(path, mapped=mapped)

        def elsewhere(manifest: Manifest, shape: Shape) -> Engine:
            return apart.ward.engine(manifest, path, shape, target.version_id)

        return open_here_or_apart(path, elsewhere, mapped=mapped)

    def _local(self, target: Target) -> Path:
        if target.path is not None:
            if sha256_of(target.path) != target.sha256:
                raise CorruptObject(f"{target.path.name} changed since this replica started")
            return target.path
        path = self.folder / f"{target.sha256}.mill"
        with only_one(self.folder / f".{target.sha256}.lock"):  # of all workers on this host one fetches
            if path.is_file() and sha256_of(path) == target.sha256:
                return path
            path.unlink(missing_ok=True)
            if target.object_key is None:
                raise CorruptObject(f"version {target.version_id} has no object key")
            self.store.get().fetch(target.object_key, path, sha256=target.sha256)
        return path


def _tried(loaded: LoadedModel) -> LoadedModel:
    """In the lane of a model from outside."""
    package = loaded.package
    try:
        package.replay_golden()
    except GoldenRowsDiffer as error:
        raise ModelUnavailable(error.detail) from error
    return replace(
        loaded,
        row_microseconds=_fastest(package, package.predict_one),
        lookup_microseconds=_fastest(package, AnswerCache(1).look_up),
    )


def _quickly(package: Package) -> Callable[[Mapping[str, Any]], object]:
    """The quick way where the package has one and it takes all golden rows; else the usual one again."""
    names = [feature.name for feature in package.signature.features]
    rows = package.manifest.golden.rows
    if any(package.quick_outputs([row.get(name) for name in names]) is None for row in rows):
        return package.predict_one
    return lambda row: package.quick_outputs([row.get(name) for name in names])


def _fastest(package: Package, call: Callable[[Mapping[str, Any]], object]) -> float:
    """In µs. The fastest of some rounds: a busy moment at load must not send a quick model to the lane for good."""
    rows = package.manifest.golden.rows
    if not rows:
        return float("inf")
    times: list[float] = []
    for number in range(_COST_ROUNDS):
        begun = time.perf_counter()
        call(rows[number % len(rows)])
        times.append(time.perf_counter() - begun)
    return min(times) * 1e6
