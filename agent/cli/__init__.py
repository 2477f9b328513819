"""The commands of `plumeline`, one module a group."""
