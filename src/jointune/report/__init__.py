"""What people read: the model card and the reports."""
