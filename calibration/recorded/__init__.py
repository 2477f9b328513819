"""Recorded rows to dry values, averages and plateaus of tank gas."""
