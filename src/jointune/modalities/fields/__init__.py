"""Fields: numbers and categories in columns of the table."""
