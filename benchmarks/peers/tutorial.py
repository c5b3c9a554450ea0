"""The reference CNN as PyTorch's tutorials train: DataLoader workers, transforms image by image, float32, penalties by autograd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.training import CLASSES, REFERENCE, pixels

if TYPE_CHECKING:
    from torch import nn

    from benchmarks.contender import Round


def cnn() -> nn.Sequential:
    """The network, layer by layer."""
    from torch import nn

    layers: list[nn.Module] = []
    channels = 1
    for filters in (32, 64, 128):
        layers += [nn.Conv2d(channels, filters, 5, padding="same"), nn.ReLU(), nn.BatchNorm2d(filters)]
        layers += [nn.Conv2d(filters, filters, 4, padding="same"), nn.ReLU(), nn.BatchNorm2d(filters)]
        layers += [nn.MaxPool2d(4, ceil_mode=True)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(128, 2048), nn.ReLU(), nn.Dropout(0.5), nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers)


class _Images:
    """A map-style data set that transforms one image when it is asked for it."""

    def __init__(self, images: int) -> None:
        from torchvision import transforms

        self.images, self.labels = pixels(images)
        settings: Any = REFERENCE["augmentation"]
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomRotation(settings["rotation"]),
                transforms.RandomHorizontalFlip(settings["horizontal_flip"]),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return self.transform(self.images[place, 0]), int(self.labels[place])


def train(images: int, threads: int, device: str = "cpu") -> Round:
    """An epoch, with as many workers that load images as threads that train."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader

    torch.set_num_threads(threads)
    model = cnn().to(device)
    kernels = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    optimizer = torch.optim.Adam(model.parameters(), lr=REFERENCE["learning_rate"])
    loader: Any = DataLoader(
        _Images(images), batch_size=REFERENCE["batch_size"], shuffle=True, num_workers=threads, persistent_workers=True
    )

    def epochs() -> Iterator[None]:
        while True:
            for batch, labels in loader:
                optimizer.zero_grad()
                loss = cross_entropy(model(batch.to(device)), labels.to(device))
                loss = loss + REFERENCE["l1"] * sum(kernel.abs().sum() for kernel in kernels)
                loss = loss + REFERENCE["l2"] * sum(kernel.square().sum() for kernel in kernels)
                loss.backward()
                optimizer.step()
            yield

    running = epochs()
    next(running)

    def one_round() -> float:
        next(running)
        return images

    return one_round
