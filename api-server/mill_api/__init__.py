"""The control plane: users, projects, datasets, models, deployments, jobs; rules and rows, over HTTP."""
