"""How good a run was, measured by code that no backend shares."""
