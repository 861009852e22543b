"""From declared nodes to a table of point-in-time features."""
