"""From minutes and standards to calibrated values with their budgets: `chain.data` in and out, `chain.calibrate`.

One call is one measurand of one instrument, whole interval at once, pure and deterministic.
"""
