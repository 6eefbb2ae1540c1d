"""Which key an agent signs with: a path stands for one secret, by a human's word or by the first signature."""
