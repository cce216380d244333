"""The networks, written from their papers, with loaders for our weights and for published state dicts."""
