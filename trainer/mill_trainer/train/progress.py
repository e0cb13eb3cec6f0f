"""True progress of a whole training: shares of fixed steps, and inside the fits what the library reports."""

from collections.abc import Callable
from dataclasses import dataclass

from mill_trainer.reporting import Report

READ = 0.05
PREPARED = 0.10
FITTED = 0.85
EVALUATED = 0.93


@dataclass(frozen=True)
class TrainingProgress:
    """`fits` counts the folds of a cross-validation and the model's own fit; they share the middle of the bar."""

    report: Report
    fits: int

    def fit(self, index: int) -> Callable[[int, int, str], None]:
        """What one fit calls with done, total and unit."""

        def advance(done: int, total: int, unit: str) -> None:
            share = (index + done / max(total, 1)) / self.fits
            self.report.progress(PREPARED + share * (FITTED - PREPARED), done, total, unit)

        return advance

    def fit_done(self, index: int) -> None:
        share = (index + 1) / self.fits
        self.report.progress(PREPARED + share * (FITTED - PREPARED), index + 1, self.fits, "fits")
