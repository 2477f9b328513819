"""Plume operators, solvers and diagnostics; numpy and scipy only, no I/O."""
