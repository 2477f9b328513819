"""The centre: ingest, store, attribution worker, API and map page."""
