"""The job ledger: what was asked for, who runs it, how it ended. Postgres is the truth; a message is only a wake-up.

Domains enqueue through `mill_api.jobs.service` and describe their kinds by a `JobHandler` (`mill_api.jobs.handlers`).
"""
