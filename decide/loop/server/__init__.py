"""The live server: requests, pending decisions, deadlines, refining while idle, keyed streams."""
