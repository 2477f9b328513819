"""Standard gases: what a station's register knows of each cylinder, what it holds, and what its gas is worth."""
