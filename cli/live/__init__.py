"""The body of `uncertain run`."""
