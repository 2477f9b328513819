"""What peers say to each other, without I/O: HJ 212, MQTT topics and payloads, record bodies, the Merkle log."""
