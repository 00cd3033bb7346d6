"""A page per message (`docs/messages/`): payload, meaning, who sends and reads it, an example."""
