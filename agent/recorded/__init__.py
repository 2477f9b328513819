"""Recorded files through the chain without a station: `plumeline process`."""
