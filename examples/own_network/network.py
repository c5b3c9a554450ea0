"""A small residual network. Every argument of its constructor can be set, varied and searched as `model_arguments`."""

from __future__ import annotations

from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions 3x3, around which a residual connection may lead."""

    def __init__(self, channels: int, *, residual: bool, batch_norm: bool) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels) if batch_norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels) if batch_norm else nn.Identity(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] to the same shape."""
        features = self.layers(images)
        return nn.functional.relu(features + images if self.residual else features)


class Network(nn.Module):
    """A convolution, so many blocks, and a linear layer on the mean over all pixels: [n, c, h, w] to logits [n, classes].

    ferray fills in `num_classes` and `in_channels`, since they are among the parameters.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: int = 16,
        depth: int = 3,
        residual: bool = True,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width, residual=residual, batch_norm=batch_norm) for _ in range(depth)))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images [n, c, h, w] to logits [n, classes]."""
        features = self.blocks(nn.functional.relu(self.first(images)))
        logits: Tensor = self.output(self.dropout(features.mean(dim=(2, 3))))
        return logits
