"""Convolutional networks that turn images into features, with published weights."""

from socialjax.vision.backbones.efficientnet import EfficientNetLite0
from socialjax.vision.backbones.resnet import ResNet50
from socialjax.vision.backbones.vgg import VGG16

BACKBONES = {"vgg16": VGG16, "resnet50": ResNet50, "efficientnet_lite0": EfficientNetLite0}
