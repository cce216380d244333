"""Fast twins of inner loops. Each one optimises a readable function that exists beside it; a test compares the two."""
