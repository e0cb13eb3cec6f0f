"""Which traces are exported: `OTEL_TRACES_SAMPLER` and its argument, by the standard's names."""

import os

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from mill_kit.logs import get_logger

_CALLERS_WORD = "parentbased_"


def sampler(*, decides: bool) -> Sampler:
    """A trace whose caller samples is followed. One that it does not is left alone, unless this service `decides`.

    nginx begins a trace for every request and samples none; so the first service of ours makes the decision. It depends on the
    trace's id alone: whoever makes it again comes to the same end.
    """
    name = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or f"{_CALLERS_WORD}always_on"
    root = _root(name.removeprefix(_CALLERS_WORD))
    if not name.startswith(_CALLERS_WORD):
        return root
    return ParentBased(root, remote_parent_not_sampled=root) if decides else ParentBased(root)


def _root(name: str) -> Sampler:
    if name == "always_on":
        return ALWAYS_ON
    if name == "always_off":
        return ALWAYS_OFF
    if name == "traceidratio":
        return TraceIdRatioBased(_ratio())
    get_logger().warning("unknown_sampler", name=name, known="[parentbased_]always_on, always_off, traceidratio")
    return ALWAYS_ON


def _ratio() -> float:
    given = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        ratio = float(given)
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    get_logger().warning("not_a_ratio", variable="OTEL_TRACES_SAMPLER_ARG", taken=1.0)
    return 1.0
