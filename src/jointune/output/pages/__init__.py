"""Pages with tables, drawings and posts: one file each, which needs no network."""
