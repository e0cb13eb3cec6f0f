"""How much a workspace has of what it may have, over all domains."""
