"""How often the process of a model has crashed lately, and whether that was once too often. The ward notes, the engine asks.

Kept by model version, in memory: a service that starts anew has forgiven everybody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mill_serving.errors import ModelSuspended


@dataclass
class CrashRecords:
    """`most` crashes within `window_seconds` suspend a version. Used by any thread."""

    most: int
    window_seconds: float
    clock: Callable[[], float] = time.monotonic
    _lately: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])
    _suspended: dict[str, str] = field(default_factory=dict[str, str])
    _deployed: Mapping[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, version_id: str, reason: str) -> bool:
        """Another crash. True where it suspends the version."""
        with self._lock:
            now = self.clock()
            lately = self._lately.setdefault(version_id, deque(maxlen=self.most))
            lately.append(now)
            is_too_much = len(lately) == self.most and now - lately[0] <= self.window_seconds
            if not is_too_much or version_id in self._suspended:
                return False
            self._suspended[version_id] = f"its process crashed {self.most} times, the last time because {reason}"
            return True

    def refuse(self, version_id: str) -> None:
        """Raises `ModelSuspended` for a version that is."""
        reason = self._suspended.get(version_id) if self._suspended else None
        if reason is not None:
            raise ModelSuspended(reason)

    def reason(self, version_id: str) -> str | None:
        """Why it is suspended; None where it is not."""
        return self._suspended.get(version_id)

    def suspended(self) -> dict[str, str]:
        """Every suspended version, and why."""
        with self._lock:
            return dict(self._suspended)

    def forgive(self, version_id: str) -> bool:
        """Forget its crashes. True where it was suspended."""
        with self._lock:
            self._lately.pop(version_id, None)
            return self._suspended.pop(version_id, None) is not None

    def redeployed(self, deployed: Mapping[str, datetime | None]) -> set[str]:
        """What is routed now, and since when: versions that left, or were deployed again, are forgiven. Which were is told."""
        with self._lock:
            before, self._deployed = self._deployed, dict(deployed)
            known = {one for one in (*self._lately, *self._suspended) if one in before}
            forgiven = {one for one in known if deployed.get(one, _GONE) != before[one]}
            for version_id in forgiven:
                self._lately.pop(version_id, None)
                self._suspended.pop(version_id, None)
        return forgiven


_GONE = object()
