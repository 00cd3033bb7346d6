"""Discord: its HTTP API with rate limits, roles of members, and the test of a connection."""
