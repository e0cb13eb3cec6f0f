"""What crosses a process boundary: ids, job specs, reports, the routing snapshot. No I/O, no logic beyond checks."""
