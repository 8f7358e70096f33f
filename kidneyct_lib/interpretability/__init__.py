"""Class maps, whether they depend on the weights, and whether they find the lesion."""
