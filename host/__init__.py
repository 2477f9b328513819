"""I/O that several programs share: clocks, HJSON with places, SQLite, TCP loops, service notification."""
