"""Fakes shipped with the product; each passes the contract tests of the real part."""

from mill_kit.testing.clock import FrozenClock
from mill_kit.testing.memory_store import MemoryStore

__all__ = ["FrozenClock", "MemoryStore"]
