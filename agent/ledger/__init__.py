"""A station's log held against its own ledger: every body, number, checkpoint, cosignature and period."""
