"""Log formats: readers and writers. `registry.py` names them all."""
