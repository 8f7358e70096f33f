"""Networks: backbones, heads, pretrained weights, region-of-interest crops, linear heads."""
