"""What every folder may use: files, run folders, threads, progress, memory, caches, optional packages."""
