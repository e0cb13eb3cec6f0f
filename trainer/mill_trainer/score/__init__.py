"""The `score` verb: a model package and a table in, a file of predictions out."""

from mill_trainer.score.service import score

__all__ = ["score"]
