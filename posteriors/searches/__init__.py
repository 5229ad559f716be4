"""Search of a space of candidates by neighbours and evidence, as several methods share it."""
