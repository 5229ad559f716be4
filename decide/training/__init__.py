"""Training policies that choose actions without inference at run time."""
