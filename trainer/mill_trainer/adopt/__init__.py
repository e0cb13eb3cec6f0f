"""The verb `adopt`: a model file from outside becomes a package of our own, or is refused with the reason."""

from mill_trainer.adopt.service import adopt

__all__ = ["adopt"]
