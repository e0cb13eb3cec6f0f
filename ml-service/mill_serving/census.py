"""What all worker processes of this replica counted, added up: `/stats` and `/metrics` ask here, whichever worker they reach."""

import asyncio
from dataclasses import dataclass

from mill_serving.admission import Arrivals, Lane
from mill_serving.answers import AnswerCache
from mill_serving.cells import read_cells
from mill_serving.isolation.ward import Ward
from mill_serving.journal import Journal
from mill_serving.packages import LoadedModel
from mill_serving.registry import Registry
from mill_serving.shared_answers import SharedAnswers
from mill_serving.statistics import Statistics, Together, together
from mill_serving.workers import Seat

_PUBLISH_SECONDS = 0.25


@dataclass(frozen=True)
class Census:
    """`seat` is None where one process is the whole replica."""

    statistics: Statistics
    registry: Registry[LoadedModel]
    answers: AnswerCache
    lane: Lane
    arrivals: Arrivals
    journal: Journal
    seat: Seat | None = None
    shared_answers: SharedAnswers | None = None
    ward: Ward | None = None

    def take(self) -> Together:
        self.publish()
        seat = self.seat
        others = [path for path in sorted(seat.folder.glob("*.cells")) if path != seat.cells] if seat else []
        return together([self.statistics.cells.groups(), *map(read_cells, others)])

    async def run(self) -> None:
        """For ever: let the other workers know what is counted outside the cells."""
        while True:
            self.publish()
            await asyncio.sleep(_PUBLISH_SECONDS)

    def publish(self) -> None:
        registry, answers, lane, counts, shared = (
            self.registry,
            self.answers,
            self.lane,
            self.registry.counts,
            self.shared_answers,
        )
        self.statistics.publish(
            counters={
                "model_cache_hits": counts.hits,
                "model_cache_misses": counts.misses,
                "model_cache_evictions": counts.evictions,
                "model_loads": counts.loads,
                "model_load_failures": counts.failures,
                "prediction_cache_hits": answers.hits,
                "prediction_cache_misses": answers.misses,
                "inference_lane_refused": lane.refused,
                "model_load_waiting_refused": self.arrivals.refused,
                "open_requests_refused": self.statistics.refused,
                "inference_lane_dropped": lane.dropped,
                "inference_lane_done": lane.done,
                "inference_lane_busy_seconds": lane.busy_seconds,
                "shared_prediction_cache_hits": shared.hits if shared else 0,
                "shared_prediction_cache_misses": shared.misses if shared else 0,
                "shared_prediction_cache_failures": shared.failures if shared else 0,
                "journal_written": self.journal.written,
                "journal_lost": self.journal.lost,
                "isolated_model_crashes": self.ward.crashes if self.ward else 0,
            },
            gauges={
                "active_requests": self.statistics.active,
                "inference_lane_pending": lane.pending,
                "model_load_waiting": self.arrivals.waiting,
                "inference_lane_running": lane.running,
                "inference_lane_threads": lane.size,
                "model_cache_bytes": registry.bytes,
                "model_cache_budget_bytes": registry.budget,
                "model_cache_entries": len(registry),
                "prediction_cache_entries": len(answers),
                "isolated_model_processes": self.ward.running if self.ward else 0,
                "isolated_models_suspended": len(self.ward.records.suspended()) if self.ward else 0,
                "workers": 1,
            },
        )
