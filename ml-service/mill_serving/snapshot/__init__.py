"""The routing snapshot: believed only when signed, kept on our own disk, never exchanged for a lower one."""
