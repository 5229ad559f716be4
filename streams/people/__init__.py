"""Studies of people who chose actions to learn, as records: one file each, and their registry."""
