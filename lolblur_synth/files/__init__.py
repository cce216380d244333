"""The room that opens files: atomic writes, listings, images, weights, video."""
