"""Readers of the log that deliver: MQTT to a centre of ours, HJ 212 to platforms."""
