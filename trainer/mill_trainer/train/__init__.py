"""The `train` verb: canonical Parquet and a recipe in, a model package and its report out."""

from mill_trainer.train.run import check_recipe, train

__all__ = ["check_recipe", "train"]
