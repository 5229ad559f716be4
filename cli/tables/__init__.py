"""Tables and exports."""
