"""Reference posteriors that the judge computes for itself."""
