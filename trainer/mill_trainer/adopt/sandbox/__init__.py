"""A throw-away process for bytes nobody trusts: it is prepared, locks itself in, answers once, and is gone.

`client` is what the trainer uses. `server` runs as a process of its own that has loaded the libraries and forks one child for each
request, which confines itself (`mill_kit.confinement`) before it sees a byte.
"""
