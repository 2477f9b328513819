"""Signed updates of this station's software: bundles, versions side by side, trial and rollback; what is installed."""
