"""What turns the states of both encoders into one joint vector: one file each."""
