"""Training speed of Keras with TensorFlow on the networks of our `conv` preset.

Run by `training.py --peers` in an environment of its own; prints one line of JSON. The VAE is built as the example in the
documentation of Keras builds it (a functional encoder with a sampling layer, a model with its own `train_step`, `fit` on an
array of floats), with the layer sizes of our preset; the autoencoder is a plain model with a squared error. `fit` compiles the
step into a graph, which the warm-up keeps out of the timing. On processors Keras uses XLA only where it is asked for.
"""

import json
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from arguments import parse
from keras import layers, ops
from stopwatch import Finished, Stopwatch, random_images

LATENTS = 16


class Sampling(layers.Layer):
    """Draws latents from mean and log-variance."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_var = inputs
        noise = keras.random.normal(ops.shape(mean), dtype=self.compute_dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise


class VAE(keras.Model):
    """Binary cross-entropy summed over pixels, plus KL; three running means are reported."""

    def __init__(self) -> None:
        super().__init__()
        images, features = trunk()
        mean, log_var = (layers.Dense(LATENTS, dtype="float32")(features) for _ in range(2))
        self.encoder = keras.Model(images, [mean, log_var, Sampling()([mean, log_var])])
        self.decoder = decoder()
        self.means = [keras.metrics.Mean(name=name) for name in ("loss", "distortion", "rate")]

    @property
    def metrics(self):
        return self.means

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_var, latents = self.encoder(data)
            errors = keras.losses.binary_crossentropy(data, self.decoder(latents))
            distortion = ops.mean(ops.sum(errors, axis=(1, 2)))
            rate = ops.mean(ops.sum(-0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var)), axis=1))
            loss = distortion + rate
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for running, value in zip(self.means, (loss, distortion, rate), strict=True):
            running.update_state(value)
        return {running.name: running.result() for running in self.means}


class Ticking(keras.callbacks.Callback):
    """Counts the steps, and leaves `fit` after the last. It is called after each execution, which has one step or several."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch, self.last = watch, -1

    def on_epoch_begin(self, epoch, logs=None):
        self.last = -1

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])  # the step is done when its loss is known
        self.watch.tick(batch - self.last)
        self.last = batch
        if self.watch.finished:
            raise Finished


def trunk():
    """Return the images' input, and features [b 128]."""
    images = keras.Input(shape=(28, 28, 1))
    features = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(images)
    features = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(features)
    return images, layers.Dense(128, activation="relu")(layers.Flatten()(features))


def decoder():
    up = [layers.Conv2DTranspose(width, 3, activation="relu", strides=2, padding="same") for width in (64, 32)]
    image = [layers.Conv2DTranspose(1, 3, padding="same"), layers.Activation("sigmoid", dtype="float32")]
    return keras.Sequential([keras.Input(shape=(LATENTS,)), layers.Dense(7 * 7 * 64), layers.Reshape((7, 7, 64)), *up, *image])


def autoencoder():
    images, features = trunk()
    return keras.Model(images, decoder()(layers.Dense(LATENTS)(features)))


def main() -> None:
    parsed = parse()
    tf.config.threading.set_intra_op_parallelism_threads(parsed.threads)
    tf.config.threading.set_inter_op_parallelism_threads(parsed.threads)
    if parsed.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    watch = Stopwatch(parsed.batch, parsed.steps, parsed.warm)
    floats = random_images(parsed.images).astype("float32") / 255
    variational = parsed.family == "vae"
    model = VAE() if variational else autoencoder()
    settings = {"jit_compile": parsed.jit or "auto", "steps_per_execution": parsed.per_execution}
    model.compile(optimizer=keras.optimizers.Adam(), **settings, **({} if variational else {"loss": "mse"}))
    targets = () if variational else (floats,)
    try:
        model.fit(floats, *targets, batch_size=parsed.batch, epochs=10**6, verbose=0, callbacks=[Ticking(watch)])
    except Finished:
        print(json.dumps(watch.result()))


if __name__ == "__main__":
    main()
