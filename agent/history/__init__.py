"""Looking back at what the station kept: from the running daemon, or from its files while it is stopped."""
