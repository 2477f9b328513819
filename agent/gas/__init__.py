"""Calibration runs, valves and the maintenance lock."""
