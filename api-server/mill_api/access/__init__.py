"""Who you are and what you may do: users, workspaces, roles, tokens, API keys and the audit log."""
