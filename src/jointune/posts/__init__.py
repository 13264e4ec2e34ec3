"""What users bring: reading, checking, splitting and writing posts, without torch."""
