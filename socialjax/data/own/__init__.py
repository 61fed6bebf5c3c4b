"""Folders of anyone: pairs, links, frames, attributes, videos."""
