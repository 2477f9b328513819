"""What must agree between the parts of a configuration, told with place and remedy."""
