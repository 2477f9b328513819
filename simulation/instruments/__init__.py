"""Single instruments on their own wires, byte for byte; none reads the table or the driver it is asked by."""
