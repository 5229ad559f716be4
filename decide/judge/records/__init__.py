"""Records: one measured configuration as a typed row, its schema, and where it was measured."""
