"""What stages and models share about sensors: camera tables, noise, Bayer mosaic, demosaicing, DNG."""
