"""Where events come from and where they go: formats, worlds, and the arrays models want."""
