"""Micro-sensor boards: frames on a serial line, without I/O."""
