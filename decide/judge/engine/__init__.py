"""Running cells: worker processes, the timing lock, Ray, the index of results."""
