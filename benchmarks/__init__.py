"""Modelmill's benchmarks, one folder per question. `run.py` runs them; nothing of the product imports them."""
