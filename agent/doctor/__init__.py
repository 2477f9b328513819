"""The doctor of a bus: finds instruments on a line and names them, by listening and by harmless questions alone."""
