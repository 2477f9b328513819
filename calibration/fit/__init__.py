"""Least squares of small problems in plain floats: weighted, with errors in both axes, and the quantiles they need."""
