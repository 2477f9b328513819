"""Recorded instrument files: lines of text to rows. Nothing here opens a file or knows the time."""
