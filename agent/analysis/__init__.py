"""Looking back with the station's own code: the trace of a number, its uncertainty, averages made again."""
