"""Schema changes, applied as mill_owner by `python -m mill_api migrate`; hand-written, linear, one file per domain step."""
