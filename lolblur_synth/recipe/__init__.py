"""The recipe: `schema` declares every number, `builtin/` holds the recipes that come with the package."""
