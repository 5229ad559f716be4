"""Formats with columns: CSV, Parquet and npz."""
