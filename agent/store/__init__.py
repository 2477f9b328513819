"""The log, its segments, the index over them, and what a start reads back."""
