"""Raw files become canonical tables: `profile` is the verb, `canonicalise` its first half, used by scoring."""

from mill_trainer.profile.service import canonicalise, profile

__all__ = ["canonicalise", "profile"]
