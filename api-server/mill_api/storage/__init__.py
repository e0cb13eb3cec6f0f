"""The control plane's side of the object store: its identity, and uploads that stream into it."""
