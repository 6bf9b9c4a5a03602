"""The U-Net of diffusers (von Platen et al. 2022) that has, layer for layer, the parameters of ours.

Ours are the features of the preset `small` with `skips` all and `resampling` conv: 1,062,497 parameters in both.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from diffusers import UNet2DModel

PARAMETERS = 1_062_497


def unet() -> UNet2DModel:
    network = UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=2,
        attention_head_dim=64,
    )
    found = sum(parameter.numel() for parameter in network.parameters())
    if found != PARAMETERS:
        raise RuntimeError(f"the network has {found:,} parameters, expected {PARAMETERS:,}: not the same net")
    return network
