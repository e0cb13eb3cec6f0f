"""The package cache: bytes, single flight, failures, calls that outlive an eviction."""

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from mill_serving.errors import ModelUnavailable
from mill_serving.registry import Registry
from mill_serving.targets import Target


@dataclass(frozen=True)
class Loaded:
    name: str
    nbytes: int = 100


@dataclass
class Loader:
    """Loads in the registry's threads; waits while `gate` is closed."""

    size: int = 100
    gate: threading.Event = field(default_factory=threading.Event)
    loads: Counter[str] = field(default_factory=Counter[str])
    failing: bool = False

    def __call__(self, target: Target) -> Loaded:
        self.loads[target.name] += 1
        assert self.gate.wait(10)
        if self.failing:
            raise ModelUnavailable("the object store does not answer")
        return Loaded(target.name, self.size)


def target(name: str) -> Target:
    return Target(name, name, name, 1, sha256=name, size=100, public=True)


@pytest.fixture
def loader() -> Loader:
    found = Loader()
    found.gate.set()
    return found


async def test_five_hundred_first_calls_make_one_load(loader: Loader, until: Any) -> None:
    loader.gate.clear()
    registry = Registry(loader, budget=1000)
    calls = [asyncio.create_task(registry.get(target("a"))) for _ in range(500)]
    await until(lambda: loader.loads)
    loader.gate.set()
    found = await asyncio.gather(*calls)
    assert len({id(loaded) for loaded in found}) == 1
    assert loader.loads == {"a": 1}
    assert registry.counts.loads == 1
    await registry.close()


async def test_a_caller_that_leaves_does_not_cancel_the_load(loader: Loader, until: Any) -> None:
    loader.gate.clear()
    registry = Registry(loader, budget=1000)
    leaving = asyncio.create_task(registry.get(target("a")))
    staying = asyncio.create_task(registry.get(target("a")))
    await until(lambda: loader.loads)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    loader.gate.set()
    assert (await staying).name == "a"
    assert loader.loads == {"a": 1}
    await registry.close()


async def test_a_failure_reaches_all_its_callers_and_is_forgotten(loader: Loader) -> None:
    loader.failing = True
    registry = Registry(loader, budget=1000)
    results = await asyncio.gather(*(registry.get(target("a")) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, ModelUnavailable) for result in results)
    assert registry.counts.failures == 1
    loader.failing = False
    assert (await registry.get(target("a"))).name == "a"
    await registry.close()


async def test_the_least_recently_used_package_goes_first_and_the_budget_holds(loader: Loader) -> None:
    registry = Registry(loader, budget=300)
    for name in ("a", "b", "c"):
        await registry.get(target(name))
    assert registry.peek(target("a"))
    await registry.get(target("d"))
    assert [registry.holds(target(name)) for name in ("a", "b", "c", "d")] == [True, False, True, True]
    assert registry.bytes == 300
    assert registry.counts.evictions == 1
    await registry.close()


async def test_an_evicted_package_serves_out_its_calls(loader: Loader) -> None:
    registry = Registry(loader, budget=100)
    held = await registry.get(target("a"))
    await registry.get(target("b"))
    assert not registry.holds(target("a"))
    assert held.name == "a"
    assert (await registry.get(target("a"))) is not held
    await registry.close()


async def test_a_package_larger_than_the_cache_is_refused_and_evicts_nothing(loader: Loader) -> None:
    registry = Registry(loader, budget=150)
    await registry.get(target("a"))
    loader.size = 200
    with pytest.raises(ModelUnavailable, match="whole cache"):
        await registry.get(target("b"))
    assert registry.holds(target("a"))
    await registry.close()
