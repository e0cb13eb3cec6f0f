"""Models: what to train, the versions that came of it, and how good each is."""
