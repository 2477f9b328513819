"""MQTT topics and payloads of the record stream, without I/O."""
