"""From a feature table to a tuned, calibrated model."""
