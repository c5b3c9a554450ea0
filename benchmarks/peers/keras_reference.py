"""The reference study's own way: Keras on TensorFlow, its images from ImageDataGenerator. Needs the optional group ``benchmark``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from benchmarks.training import CLASSES, REFERENCE, SIZE, pixels

if TYPE_CHECKING:
    from benchmarks.contender import Round


def train(images: int, threads: int, network: str = "cnn", *, onednn: bool = False) -> Round:
    """An epoch. ``onednn`` switches TensorFlow's faster kernels on, which it does by itself on some processors only."""
    if onednn:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    settings: Any = REFERENCE["augmentation"]
    inputs, labels = pixels(images)
    generator = ImageDataGenerator(rescale=1 / 255, rotation_range=settings["rotation"], horizontal_flip=True, fill_mode="nearest")
    flow = generator.flow(inputs.transpose(0, 2, 3, 1).astype("float32"), labels, batch_size=REFERENCE["batch_size"])
    model = _network(network)
    model.fit(flow, epochs=1, verbose=0)

    def one_round() -> float:
        model.fit(flow, epochs=1, verbose=0)
        return images

    return one_round


def _network(name: str) -> Any:
    import keras
    from keras import layers

    def penalty() -> Any:
        return keras.regularizers.L1L2(REFERENCE["l1"], REFERENCE["l2"])

    def dense(units: int, **more: Any) -> Any:
        return layers.Dense(units, kernel_regularizer=penalty(), **more)

    model = keras.Sequential([keras.Input((SIZE, SIZE, 1))])
    if name == "cnn":
        for filters in (32, 64, 128):
            for size in (5, 4):
                model.add(layers.Conv2D(filters, size, padding="same", activation="relu", kernel_regularizer=penalty()))
                model.add(layers.BatchNormalization())
            model.add(layers.MaxPooling2D(4, padding="same"))
        head = [layers.Flatten(), dense(2048, activation="relu"), layers.Dropout(0.5), dense(512, activation="relu")]
    else:
        head = [dense(30, activation="relu"), layers.Flatten(), *(dense(30, activation="relu") for _ in range(4))]
    for layer in [*head, dense(CLASSES, activation="softmax")]:
        model.add(layer)
    model.compile(keras.optimizers.Adam(REFERENCE["learning_rate"]), "sparse_categorical_crossentropy")
    return model
