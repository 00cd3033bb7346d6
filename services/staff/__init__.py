"""Everything about orders in one place, for people and for programs: read models, an archive of every event."""
