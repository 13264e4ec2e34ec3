"""Pre-trained encoders of any family behind one contract: inputs in, ``States`` out."""
