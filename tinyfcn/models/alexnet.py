"""AlexNet (Krizhevsky, Sutskever & Hinton 2012) as Caffe's CaffeNet, and as torchvision's alexnet.

CaffeNet pools before it normalises. Its second, fourth and fifth convolutions have two groups;
without groups it would have more than the 57 million parameters of the FCN paper's Table 1.
torchvision's (Krizhevsky 2014, "One weird trick") has neither normalisation nor groups.
"""
from ..layers import avg_pool_to, conv, local_response_norm, max_pool, relu, scale_width
from .vgg import fc6_fc7


def alexnet(n, n_class=1000, width=1):
    """The ImageNet classifier: one position for 227×227, a map of scores (fc8) for more."""
    alexnet_trunk(n, width, pad=0)
    n.fc8 = conv(n.drop7, n_class, 1)
    n.score = avg_pool_to(n.fc8, 1)


def alexnet_trunk(n, width=1, pad=100):
    """conv1 … pool5, then fc6 and fc7 as convolutions of 6×6 and 1×1."""
    n.conv1 = conv(n.data, scale_width(96, width), 11, stride=4, pad=pad)
    n.relu1 = relu(n.conv1)
    n.pool1 = max_pool(n.relu1, 3, stride=2)
    n.norm1 = local_response_norm(n.pool1, 5, alpha=1e-4, beta=.75)

    n.conv2 = conv(n.norm1, scale_width(256, width), 5, pad=2, groups=2)
    n.relu2 = relu(n.conv2)
    n.pool2 = max_pool(n.relu2, 3, stride=2)
    n.norm2 = local_response_norm(n.pool2, 5, alpha=1e-4, beta=.75)

    n.conv3 = conv(n.norm2, scale_width(384, width), 3, pad=1)
    n.relu3 = relu(n.conv3)
    n.conv4 = conv(n.relu3, scale_width(384, width), 3, pad=1, groups=2)
    n.relu4 = relu(n.conv4)
    n.conv5 = conv(n.relu4, scale_width(256, width), 3, pad=1, groups=2)
    n.relu5 = relu(n.conv5)
    n.pool5 = max_pool(n.relu5, 3, stride=2)

    fc6_fc7(n, 6, width)


def alexnet_torchvision(n, n_class=1000, width=1):
    """The ImageNet classifier: one position for 224×224, a map of scores (fc8) for more."""
    alexnet_torchvision_trunk(n, width, pad=2)
    n.fc8 = conv(n.drop7, n_class, 1)
    n.score = avg_pool_to(n.fc8, 1)


def alexnet_torchvision_trunk(n, width=1, pad=100):
    """conv1 … pool5, then fc6 and fc7 as convolutions of 6×6 and 1×1."""
    n.conv1 = conv(n.data, scale_width(64, width), 11, stride=4, pad=pad)
    n.relu1 = relu(n.conv1)
    n.pool1 = max_pool(n.relu1, 3, stride=2)

    n.conv2 = conv(n.pool1, scale_width(192, width), 5, pad=2)
    n.relu2 = relu(n.conv2)
    n.pool2 = max_pool(n.relu2, 3, stride=2)

    n.conv3 = conv(n.pool2, scale_width(384, width), 3, pad=1)
    n.relu3 = relu(n.conv3)
    n.conv4 = conv(n.relu3, scale_width(256, width), 3, pad=1)
    n.relu4 = relu(n.conv4)
    n.conv5 = conv(n.relu4, scale_width(256, width), 3, pad=1)
    n.relu5 = relu(n.conv5)
    n.pool5 = max_pool(n.relu5, 3, stride=2)

    fc6_fc7(n, 6, width)
