"""Training speed of pythae (Chadebec et al. 2022) on the networks of our `conv` preset: its VAE or AE, its own trainer.

Run by `training.py --peers` in an environment of its own; prints one line of JSON. The networks are written in stock layers.
Everything else is pythae's default (eager float32, Adam, squared error as distortion), with data as in its documentation: a
tensor of floats in memory. Nothing is validated, and the clock stops before the model is saved. Its option `amp` is for GPUs
alone: for bfloat16 the context that this option sets is replaced by the one for processors.
"""

import json
import logging
import tempfile

import torch
from arguments import parse
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from stopwatch import Finished, Stopwatch, random_images
from torch import nn

LATENTS = 16


class Encoder(BaseEncoder):
    """Two halving convolutions, a dense layer, and the mean (and log-variance) of the latents."""

    def __init__(self, variational: bool) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
        self.body = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU())
        self.mean = nn.Linear(128, LATENTS)
        self.log_var = nn.Linear(128, LATENTS) if variational else None

    def forward(self, images):
        features = self.body(images)
        if self.log_var is None:
            return ModelOutput(embedding=self.mean(features))
        return ModelOutput(embedding=self.mean(features), log_covariance=self.log_var(features))


class Decoder(BaseDecoder):
    """A dense layer, two doubling transposed convolutions and one to the image."""

    def __init__(self) -> None:
        super().__init__()
        up = [nn.ConvTranspose2d(64, 64, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU()]
        image = [nn.ConvTranspose2d(32, 1, 3, 1, 1), nn.Sigmoid()]
        self.body = nn.Sequential(nn.Linear(LATENTS, 64 * 7 * 7), nn.Unflatten(1, (64, 7, 7)), *up, *image)

    def forward(self, latents):
        return ModelOutput(reconstruction=self.body(latents))


class Ticking(TrainingCallback):
    """Tells the stopwatch of every step, and leaves the trainer after the last."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_train_step_end(self, training_config, **kwargs):
        self.watch.tick()
        if self.watch.finished:
            raise Finished


def main() -> None:
    parsed = parse()
    torch.set_num_threads(parsed.threads)
    logging.disable()
    watch = Stopwatch(parsed.batch, parsed.steps, parsed.warm)
    floats = torch.from_numpy(random_images(parsed.images).transpose(0, 3, 1, 2)) / 255.0
    data = BaseDataset(floats, torch.ones(parsed.images))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder, per_device_train_batch_size=parsed.batch, optimizer_params=optimizer(parsed)
        )
        trainer = BaseTrainer(tuned_model(parsed), data, training_config=settings, callbacks=[Ticking(watch)])
        if parsed.precision == "bfloat16":
            trainer.amp_context = torch.autocast("cpu", torch.bfloat16)
        try:
            trainer.train()
        except Finished:
            print(json.dumps(watch.result()))


def optimizer(parsed) -> dict[str, object] | None:
    return {"fused": True} if parsed.fused else None


def tuned_model(parsed) -> VAE | AE:
    """Return the model, with both networks in the memory format and the compilation that are asked for."""
    trained = model(parsed.family)
    for network in (trained.encoder, trained.decoder):
        if parsed.channels_last:
            network.to(memory_format=torch.channels_last)
        for part in network.children() if parsed.compile else ():
            part.compile(dynamic=False)  # pythae tries a smaller batch first; its ModelOutput cannot be compiled
    return trained


def model(family: str) -> VAE | AE:
    shape = {"input_dim": (1, 28, 28), "latent_dim": LATENTS}
    if family == "vae":
        return VAE(VAEConfig(**shape), Encoder(variational=True), Decoder())
    return AE(AEConfig(**shape), Encoder(variational=False), Decoder())


if __name__ == "__main__":
    main()
