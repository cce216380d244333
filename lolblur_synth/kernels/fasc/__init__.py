"""The adaptive convolution of LEDNet's skip connections."""
