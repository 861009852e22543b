"""A release behind raw events: what rows mean, the state of the past, stores, decisions and the server."""
