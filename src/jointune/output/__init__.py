"""Write scored rows."""
