"""The commands, and the only module that prints."""
