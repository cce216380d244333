"""The operator of SepConv."""
