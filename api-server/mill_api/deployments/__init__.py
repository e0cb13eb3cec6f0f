"""Deployments: which version is live, what the data plane is told, batch predictions, the history of single ones."""
