"""The inference floor: classifying posts and scoring archives."""
