"""From facts to HTML, Markdown and JSON."""
