"""Videos and folders of images to frames per item: decoding, shot cuts, one key frame per shot, cached on disk."""
