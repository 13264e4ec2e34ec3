"""What a post is, and how posts are read, checked and divided. No torch."""
