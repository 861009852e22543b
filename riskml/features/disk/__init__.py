"""The disk engine: feature tables of any length in bounded memory, bit for bit those of the local engine."""
