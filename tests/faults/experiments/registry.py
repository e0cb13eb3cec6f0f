"""Which experiment tries which promises. The runner starts each at most once."""

from collections.abc import Mapping

from tests.faults.course import Experiment

EXPERIMENTS: Mapping[tuple[int, ...], Experiment] = {}
