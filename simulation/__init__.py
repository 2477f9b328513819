"""Instruments, plants and fields that answer real wires; never imported by the agent or the centre."""
