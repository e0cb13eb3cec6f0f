"""How much a workspace may have and do at once: limits from the settings, for single workspaces from the operator."""
