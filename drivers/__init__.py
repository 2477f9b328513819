"""What an instrument's bytes mean: register maps, text-line tables, generators of requests. No I/O."""
