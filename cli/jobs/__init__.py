"""The body of each command. Imported when the command runs."""
