"""LeNet for small colour images, such as those of `mnist-hues`."""

from simulacra.features.networks.lenet import LeNet


class LeNetColour(LeNet):
    """The network `lenet` with three input channels instead of one."""

    summary = "small colour images, such as coloured digits; trained on the classes of the data in minutes"
    title = "LeNet-128 colour"
    channels = 3
    example = "mnist-hues"
