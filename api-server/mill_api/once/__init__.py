"""The same `Idempotency-Key` gives the same answer: a client that heard nothing may ask again, and makes nothing twice.

`access.dependencies.unit_of_work` claims the key, `OnceRoute` keeps the answer in the transaction that does the work.
"""
