"""The compiled step: decide and learn, live, along a log and over many seeds."""
