"""What several tests stand opposite to: instruments on real lines, and a daemon as a process of its own."""
