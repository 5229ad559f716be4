"""Static targets, a file each, named as in the collection they are from."""
