"""Convolutional networks that turn images into features, with published weights."""

from socialjax.vision.backbones.networks import VGG16, EfficientNetLite0, ResNet50

BACKBONES = {"vgg16": VGG16, "resnet50": ResNet50, "efficientnet_lite0": EfficientNetLite0}
