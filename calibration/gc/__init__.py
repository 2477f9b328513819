"""Gas chromatography: peaks are checked, then each sample is bracketed by the standards before and after it."""
