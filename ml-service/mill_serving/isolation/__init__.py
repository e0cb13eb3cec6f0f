"""Models that came from outside predict in processes of their own: one that crashes, hangs or eats memory harms only its callers.

`ward` is what the service uses: it bounds the processes, counts their crashes and suspends a model that goes on crashing. `engine`
stands where a package's engine would, `process` is one child as its parent sees it, `child` the program that runs in it. See
docs/adr/0017-uploaded-models-predict-apart.md.
"""
