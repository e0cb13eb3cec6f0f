"""Engines: the ways a trained estimator predicts after its library has gone home."""

from mill_pack.engines.base import Engine, EngineKind, EnginePayload, Shape
from mill_pack.engines.linear import linear_payload
from mill_pack.engines.registry import build_engine, check_engine, choose_engine, engine_kinds, load_engine, passes

__all__ = [
    "Engine",
    "EngineKind",
    "EnginePayload",
    "Shape",
    "build_engine",
    "check_engine",
    "choose_engine",
    "engine_kinds",
    "linear_payload",
    "load_engine",
    "passes",
]
