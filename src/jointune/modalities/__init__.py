"""What each kind of content looks like: opened, prepared and put into batches. NumPy only: scoring needs no torch."""
