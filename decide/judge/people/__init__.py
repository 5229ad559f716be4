"""Human choices compared with the choices of rules."""
