"""A copy of a whole station while it runs, proved by its own ledger; what keeps a restored one from being a fork."""
