"""From pictures and videos to vectors, attributes and boxes: backbones, attribute networks, key frames."""
