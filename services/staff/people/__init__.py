"""People: users and their roles, how they sign in, their tokens, and the log of what they did."""
