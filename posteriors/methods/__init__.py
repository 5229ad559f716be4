"""Inference methods, one a file; no method imports another. `registry.py` names them all."""
