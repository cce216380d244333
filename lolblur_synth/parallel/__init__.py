"""Worker processes here and on clusters, and what the machine offers."""
