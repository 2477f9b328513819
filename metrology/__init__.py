"""The ground floor: what a measured value is, in which unit and state, how good, and at what time."""
