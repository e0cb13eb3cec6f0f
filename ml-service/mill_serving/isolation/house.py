"""Puts together what isolates models from outside, as the settings want it. Called by `app`."""

from mill_serving.admission import Lane
from mill_serving.isolation.records import CrashRecords
from mill_serving.isolation.ward import Bounds, Ward
from mill_serving.packages import Apart
from mill_serving.settings import ServingSettings
from mill_serving.snapshot.rollout import Rollout
from mill_serving.workers import Seat


def house_of(serving: ServingSettings, seat: Seat | None) -> Apart | None:
    """None where such models are trusted. The workers of one host share the processes there may be."""
    if not serving.isolate_uploaded:
        return None
    bounds = Bounds(
        max(1, serving.isolated_processes // (seat.count if seat else 1)),
        serving.isolated_memory_bytes,
        serving.isolated_seconds,
        serving.isolated_idle_seconds,
    )
    ward = Ward(bounds, CrashRecords(serving.isolated_crashes, serving.isolated_window_seconds))
    return Apart(ward, lambda: _own_lane(serving))


def follow(rollout: Rollout, ward: Ward) -> None:
    """Suspended versions are reported, and forgiven when they are deployed again."""
    rollout.suspended = ward.records.reason

    def adopt() -> None:
        since = {str(route.model_version_id): route.deployed_at for route in rollout.routes()}
        rollout.refresh(anew=ward.records.redeployed(since))

    rollout.keeper.on_change = adopt


def _own_lane(serving: ServingSettings) -> Lane:
    """For one model: one thread, for its process answers one question at a time."""
    waiting = serving.waiting_blocks_per_model
    return Lane(1, waiting + 1, waiting, serving.longest_wait_seconds)
