"""From videos to a dataset on disk, and what may be asked of one."""
