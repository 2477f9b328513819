"""The performance test of an instrument on recorded data: pure functions from readings to figures, and their limits."""
