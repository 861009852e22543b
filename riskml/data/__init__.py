"""From files to checked tables, labels in force and time windows."""
