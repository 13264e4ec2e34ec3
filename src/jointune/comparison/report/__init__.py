"""The report of a comparison: one HTML page, Markdown and CSV, all from the same sections."""
