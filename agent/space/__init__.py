"""Room for the log: what is used, what stops when space ends, what may be deleted, and where a second copy lies."""
