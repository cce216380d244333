"""Figures about pictures: quality against a truth, tone curves, the fingerprint of noise."""
