"""From a run to one verifiable file, and back to a scorer."""
