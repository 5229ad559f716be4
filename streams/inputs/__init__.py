"""Live inputs: files, growing files, sockets and Redis streams."""
