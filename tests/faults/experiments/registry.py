"""Which experiment tries which promises. The runner starts each at most once."""

from collections.abc import Mapping

from tests.faults.course import Experiment
from tests.faults.experiments.alerts import alerts
from tests.faults.experiments.apart import apart
from tests.faults.experiments.broker import broker_forgets, broker_lines
from tests.faults.experiments.cancelling import cancelling
from tests.faults.experiments.database import clients_leave, database_killed
from tests.faults.experiments.death import death_of_workers, long_jobs, poison
from tests.faults.experiments.drill import drill
from tests.faults.experiments.load import overload, steady
from tests.faults.experiments.once import once
from tests.faults.experiments.one_id import one_id
from tests.faults.experiments.served import served
from tests.faults.experiments.shares import shares
from tests.faults.experiments.soak import soak
from tests.faults.experiments.storm import storm
from tests.faults.experiments.uploads import corruption, uploads

EXPERIMENTS: Mapping[tuple[int, ...], Experiment] = {
    (1, 2, 3, 38): storm,
    (4,): death_of_workers,
    (5,): poison,
    (6,): broker_forgets,
    (7,): broker_lines,
    (8,): database_killed,
    (9,): long_jobs,
    (10,): once,
    (11,): cancelling,
    (13,): uploads,
    (14,): corruption,
    (16,): drill,
    (17,): steady,
    (18,): overload,
    (24,): soak,
    (23,): served,
    (19,): shares,
    (25,): clients_leave,
    (32,): apart,
    (37,): alerts,
    (39,): one_id,
}
