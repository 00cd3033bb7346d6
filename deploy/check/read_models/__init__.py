"""Read models compared with the topics that they are made of, and made again from them, while they are in use."""
