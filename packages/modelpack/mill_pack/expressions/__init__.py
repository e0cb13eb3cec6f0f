"""Derived features: `hours_per_week / age`, parsed by our own whitelist and never evaluated by Python."""

from mill_pack.expressions.compiled import CompiledExpression, compile_expression

__all__ = ["CompiledExpression", "compile_expression"]
