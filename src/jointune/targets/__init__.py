"""What is asked of a post: one file a target."""
