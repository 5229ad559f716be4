"""Static targets, one file each, named as in their collections."""
