"""Models that read images, frames of videos or attributes of products."""
