"""Backup, restore and doctor: what keeps an installation whole. Plugged into `modelmill` by `mill_local.cli`."""
