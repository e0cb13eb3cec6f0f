"""The pages of the generated reference, one module each. Called by `docs/generate.py`."""
