"""Sequences, fits, coefficients and drift, without I/O."""
