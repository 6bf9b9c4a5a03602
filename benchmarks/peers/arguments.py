"""The command line that every peer's script has."""

import argparse


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", choices=("vae", "autoencoder", "diffusion"), default="vae")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--images", type=int, default=15_232, help="images in the data set")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()
