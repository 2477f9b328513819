"""Models that turn what an instrument indicated into an amount, and what they are given: dated rules."""
