"""Whether the calls that are timed are the ones that are judged."""
