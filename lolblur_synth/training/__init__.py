"""Training of the networks: LEDNet on a built dataset, and the bundled synthesis networks on anyone's footage."""
