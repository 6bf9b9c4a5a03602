"""Reference implementation of Keras' layers in float64 NumPy, and of a convolutional VAE that uses them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


class Keras:
    """Keras' layers by their definition, with loops: float64, images [b h w c], flattened in this order.

    Kernels are [h w in out] for Conv2D, [h w out in] for Conv2DTranspose and [in out] for Dense, as Keras stores them.
    """

    @staticmethod
    def padding_before(size: int, kernel: int, stride: int) -> int:
        """Return the pixels that 'same' pads at the top or the left: the smaller half (TensorFlow's convolution notes)."""
        rest = size % stride
        total = max(kernel - (stride if rest == 0 else rest), 0)
        return total // 2

    @classmethod
    def conv(cls, images: Array, kernel: Array, bias: Array, stride: int) -> Array:
        """Return Conv2D(padding='same'), computed per output pixel and kernel position."""
        count, height, width, _ = images.shape
        rows, columns, _, outputs = kernel.shape
        top, left = cls.padding_before(height, rows, stride), cls.padding_before(width, columns, stride)
        result = np.zeros((count, -(-height // stride), -(-width // stride), outputs)) + bias
        for y, x, i, j in np.ndindex(result.shape[1], result.shape[2], rows, columns):
            source_y, source_x = y * stride + i - top, x * stride + j - left
            if 0 <= source_y < height and 0 <= source_x < width:
                result[:, y, x] += images[:, source_y, source_x] @ kernel[i, j]
        return result

    @classmethod
    def conv_transpose(cls, images: Array, kernel: Array, bias: Array, stride: int, size: tuple[int, int]) -> Array:
        """Return Conv2DTranspose(padding='same') to `size` pixels: each input pixel adds a multiple of the kernel."""
        count, height, width, _ = images.shape
        rows, columns, outputs, _ = kernel.shape
        top, left = cls.padding_before(size[0], rows, stride), cls.padding_before(size[1], columns, stride)
        result = np.zeros((count, *size, outputs)) + bias
        for y, x, i, j in np.ndindex(height, width, rows, columns):
            target_y, target_x = y * stride + i - top, x * stride + j - left
            if 0 <= target_y < size[0] and 0 <= target_x < size[1]:
                result[:, target_y, target_x] += images[:, y, x] @ kernel[i, j].T
        return result


class KerasVAE:
    """A convolutional VAE for images 28x28x1, with the weights of this project's `VAE`.

    Kernels are transposed: Conv2d [out in h w] -> [h w in out]; ConvTranspose2d [in out h w] -> [h w out in]; Linear too.
    PyTorch flattens [64 7 7] and Keras [7 7 64], so the 3136 rows (encoder) and columns (decoder) of the dense layers next to the
    feature maps are reordered from channels first to channels last.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.weights: dict[str, Array] = {name: tensor.detach().numpy().astype(np.float64) for name, tensor in state.items()}

    def encode(self, images: Array) -> tuple[Array, Array]:
        """Return mean and log-variance [b 16] of images [b 28 28 1]."""
        images = np.maximum(self._conv("encoder.0.conv", images), 0)
        images = np.maximum(self._conv("encoder.2.conv", images), 0)
        flat = images.reshape(len(images), -1)
        weight = self.weights["encoder.5.weight"].reshape(128, 64, 7, 7).transpose(2, 3, 1, 0).reshape(3136, 128)
        hidden = np.maximum(flat @ weight + self.weights["encoder.5.bias"], 0)
        return self._dense("mean", hidden), self._dense("log_var", hidden)

    def decode(self, latents: Array) -> Array:
        """Return logits [b 28 28 1] of latents [b 16]."""
        weight = self.weights["decoder.dense.weight"].reshape(64, 7, 7, 16).transpose(3, 1, 2, 0).reshape(16, 3136)
        bias = self.weights["decoder.dense.bias"].reshape(64, 7, 7).transpose(1, 2, 0).reshape(3136)
        images = (latents @ weight + bias).reshape(-1, 7, 7, 64)
        images = np.maximum(self._conv_transpose("decoder.up.0.conv", images, 2, (14, 14)), 0)
        images = np.maximum(self._conv_transpose("decoder.up.2.conv", images, 2, (28, 28)), 0)
        return self._conv_transpose("decoder.up.4.conv", images, 1, (28, 28))

    def _conv(self, name: str, images: Array) -> Array:
        return Keras.conv(images, self.weights[f"{name}.weight"].transpose(2, 3, 1, 0), self.weights[f"{name}.bias"], 2)

    def _conv_transpose(self, name: str, images: Array, stride: int, size: tuple[int, int]) -> Array:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        return Keras.conv_transpose(images, kernel, self.weights[f"{name}.bias"], stride, size)

    def _dense(self, name: str, values: Array) -> Array:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
