"""Is the instrument still good: drift by rule sets, control charts, out-of-control intervals, performance tests."""
