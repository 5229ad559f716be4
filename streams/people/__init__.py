"""Studies of people who chose what to look at, as records: one file a study, and their registry."""
