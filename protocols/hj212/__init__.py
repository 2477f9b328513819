"""HJ 212: the data transmission standard of the pollution-source networks, both ends, without I/O."""
