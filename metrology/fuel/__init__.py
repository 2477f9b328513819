"""The fuel account: the CO2 that burnt fuel explains, beside the CO2 that was measured in the stack."""
