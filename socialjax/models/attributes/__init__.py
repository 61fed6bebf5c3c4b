"""Models that look at attributes and regions of images, and the networks that see for them."""
