"""Datasets: uploaded tables, their versions and what profiling found in them."""
