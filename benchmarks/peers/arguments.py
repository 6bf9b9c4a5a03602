"""The command line that every peer's script for training has; without the flags of the second group it is as documented."""

import argparse


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", choices=("vae", "autoencoder", "diffusion"), default="vae")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--warm", type=int, default=20, help="steps before the clock starts")
    parser.add_argument("--images", type=int, default=15_232, help="images in the data set")
    parser.add_argument("--threads", type=int, default=1)

    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch: memory format of the convolutions")
    parser.add_argument("--compile", action="store_true", help="PyTorch: torch.compile")
    parser.add_argument("--fused", action="store_true", help="PyTorch: the optimizer in one operation")
    parser.add_argument("--jit", action="store_true", help="Keras: XLA")
    parser.add_argument("--per-execution", type=int, default=1, help="Keras: steps per call of the compiled function")
    return parser.parse_args()
