"""Which experiment tries which promises. The runner starts each at most once."""

from collections.abc import Mapping

from tests.faults.course import Experiment
from tests.faults.experiments.storm import storm

EXPERIMENTS: Mapping[tuple[int, ...], Experiment] = {
    (1, 2, 3, 38): storm,
}
