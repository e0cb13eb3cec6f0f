"""What the platform tidies up by itself, in the scheduled job `sweep`: deleted objects, and objects that no row ever named."""
