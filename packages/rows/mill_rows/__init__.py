"""Rows of requests, from their bytes to the engine's matrix, and answers back to JSON.

The native reader takes what is ordinary and gives up (None) at whatever is unusual or wrong, without saying what: its callers read
such a body again with their own, slower reader, which is the authority. `mill_pack` compiles a `Reader` for each encoder; the doors
of ml-service hand it their bodies.
"""

from mill_rows._native import Reader, join_pieces, join_rows, read_flat
from mill_rows.plan import Categories, Feature, Kind, Write, reader_of

__all__ = ["Categories", "Feature", "Kind", "Reader", "Write", "join_pieces", "join_rows", "read_flat", "reader_of"]
