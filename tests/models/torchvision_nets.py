"""torchvision's nets written out in PyTorch, of any width, with torchvision's names.

test_torchvision.py compares them with torchvision itself where it is installed.
"""
from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import interpolate

from tinyfcn.layers import scale_width

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def conv_bn(c, depth, ksize, stride=1, dilation=1):
    return [nn.Conv2d(c, depth, ksize, stride, dilation * (ksize // 2), dilation, bias=False),
            nn.BatchNorm2d(depth)]


class Bottleneck(nn.Module):
    def __init__(self, c, depth, stride, dilation):
        super().__init__()
        narrow = depth // 4
        self.conv1, self.bn1 = conv_bn(c, narrow, 1)
        self.conv2, self.bn2 = conv_bn(narrow, narrow, 3, stride, dilation)
        self.conv3, self.bn3 = conv_bn(narrow, depth, 1)
        if stride > 1 or c != depth:
            self.downsample = nn.Sequential(*conv_bn(c, depth, 1, stride))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        shortcut = self.downsample(x) if hasattr(self, 'downsample') else x
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """dilated: whether layer3 and layer4 keep the size, and are dilated instead."""

    def __init__(self, depth, width=1, n_class=None, dilated=False):
        super().__init__()
        c = scale_width(64, width)
        self.conv1, self.bn1 = conv_bn(3, c, 7, stride=2)
        dilation = 1
        for layer, blocks in enumerate(BLOCKS[depth], start=1):
            before = dilation
            stride = 1 if layer == 1 else 2
            if dilated and layer > 2:
                dilation *= stride
                stride = 1
            channels = scale_width(128 << layer, width)
            modules = [Bottleneck(c, channels, stride, before)]
            modules += [Bottleneck(channels, channels, 1, dilation) for _ in range(1, blocks)]
            setattr(self, f'layer{layer}', nn.Sequential(*modules))
            c = channels
        if n_class:
            self.fc = nn.Linear(c, n_class)

    def features(self, x):
        """-> the values of layer3 and layer4"""
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        layer3 = self.layer3(self.layer2(self.layer1(x)))
        return layer3, self.layer4(layer3)

    def forward(self, x):
        return self.fc(self.features(x)[1].mean((2, 3)))


def fcn_head(c, depth, n_class):
    return nn.Sequential(*conv_bn(c, depth, 3), nn.ReLU(), nn.Dropout(.1),
                         nn.Conv2d(depth, n_class, 1))


class MeanOfTheImage(nn.Sequential):
    def forward(self, x):
        return interpolate(super().forward(x), x.shape[2:], mode='bilinear', align_corners=False)


class ASPP(nn.Module):
    def __init__(self, c, depth):
        super().__init__()
        self.convs = nn.ModuleList([
            nn.Sequential(*conv_bn(c, depth, 1), nn.ReLU()),
            *(nn.Sequential(*conv_bn(c, depth, 3, dilation=d), nn.ReLU()) for d in (12, 24, 36)),
            MeanOfTheImage(nn.AdaptiveAvgPool2d(1), *conv_bn(c, depth, 1), nn.ReLU())])
        self.project = nn.Sequential(*conv_bn(5 * depth, depth, 1), nn.ReLU(), nn.Dropout(.5))

    def forward(self, x):
        return self.project(torch.cat([conv(x) for conv in self.convs], 1))


def deeplab_head(c, depth, n_class):
    return nn.Sequential(ASPP(c, depth), *conv_bn(depth, depth, 3), nn.ReLU(),
                         nn.Conv2d(depth, n_class, 1))


class Segmenter(nn.Module):
    def __init__(self, backbone, classifier, aux_classifier):
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x):
        layer3, layer4 = self.backbone.features(x)
        scores = dict(out=self.classifier(layer4), aux=self.aux_classifier(layer3))
        return {name: interpolate(score, x.shape[2:], mode='bilinear', align_corners=False)
                for name, score in scores.items()}


class AlexNet(nn.Module):
    def __init__(self, width=1, n_class=1000):
        super().__init__()
        a, b, c, d, fc = (scale_width(depth, width) for depth in (64, 192, 384, 256, 4096))
        self.features = nn.Sequential(
            nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(b, c, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(c, d, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(d, d, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(36 * d, fc), nn.ReLU(),
            nn.Dropout(), nn.Linear(fc, fc), nn.ReLU(), nn.Linear(fc, n_class))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def torch_net(name, width=1, n_class=None):
    """The net by the name that tinyfcn.build and torchvision give it."""
    if 'alexnet' in name:
        return AlexNet(width, n_class or 1000)
    head, _, depth = name.rpartition('resnet')
    depth = int(depth)
    if not head:
        return ResNet(depth, width, n_class or 1000)
    n_class = n_class or 21
    make_head, channels = {'fcn_': (fcn_head, 512), 'deeplabv3_': (deeplab_head, 256)}[head]
    return Segmenter(
        ResNet(depth, width, dilated=True),
        make_head(scale_width(2048, width), scale_width(channels, width), n_class),
        fcn_head(scale_width(1024, width), scale_width(256, width), n_class))


def randomise(net, seed=0):
    """Batch norm begins with ones and zeros, which would hide one array in place of another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for array in module.weight, module.running_var:
                    array.uniform_(.5, 1.5, generator=generator)
                for array in module.bias, module.running_mean:
                    array.uniform_(-.5, .5, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** .5, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-.5, .5, generator=generator)
    return net


def without_aux(state_dict):
    return OrderedDict((name, array) for name, array in state_dict.items()
                       if not name.startswith('aux'))
