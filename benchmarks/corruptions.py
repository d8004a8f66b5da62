"""Corruptions of images in five severities, after ImageNet-C (Hendrycks and Dietterich, ICLR 2019).

The kinds and most of the strengths are those of ImageNet-C; the code is ours, and sizes grow with the image's
shorter side. All functions take and return (H, W, 3) uint8. Pixels do not move, so labels do not change.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Image = np.ndarray
SEVERITIES = (1, 2, 3, 4, 5)
BASE = 224  # the shorter side for which sizes in pixels are given


def _clipped(image: Image) -> Image:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _scale(image: Image) -> float:
    return min(image.shape[:2]) / BASE


def gaussian_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Noise of the sensor in poor light."""
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return _clipped(image + rng.normal(0, 255 * sigma, image.shape))


def shot_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Noise of few photons: the Poisson distribution."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return _clipped(rng.poisson(image / 255 * photons) * (255 / photons))


def impulse_noise(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Random channel values become 0 or 255."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    hit = rng.random(image.shape) < share
    return np.where(hit, rng.integers(0, 2, image.shape) * 255, image).astype(np.uint8)


def defocus_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Each point becomes a disk."""
    radius = max(1, round((3, 4, 6, 8, 10)[severity - 1] * _scale(image)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2).astype(np.float32)
    return cv2.filter2D(image, -1, disk / disk.sum(), borderType=cv2.BORDER_REFLECT_101)


def motion_blur(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Each point becomes a line of a random direction."""
    length = max(3, round((10, 15, 15, 20, 25)[severity - 1] * _scale(image)))
    angle = rng.uniform(0, np.pi)
    end = np.round(np.array([np.cos(angle), np.sin(angle)]) * length / 2).astype(int)
    kernel = np.zeros((length + 2, length + 2), np.float32)
    middle = np.array([(length + 2) // 2] * 2)
    cv2.line(kernel, (middle - end).tolist(), (middle + end).tolist(), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


def _clouds(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return noise of all scales, (H, W) in [0, 1]."""
    total = np.zeros(shape, np.float32)
    for octave in range(1, 7):
        coarse = rng.random((2**octave, 2**octave), np.float32)
        total += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def fog(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """White clouds over everything."""
    amount = (1.5, 2.0, 2.5, 2.5, 3.0)[severity - 1]
    white = 255 * amount * _clouds(image.shape[:2], rng)[..., None]
    brightest = float(image.max())
    return _clipped((image + white) * brightest / (brightest + 255 * amount))


def snow(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """A paler picture with snowflakes that fall at an angle."""
    share, pale = ((0.02, 0.2), (0.03, 0.3), (0.05, 0.35), (0.07, 0.4), (0.1, 0.45))[severity - 1]
    scale = max(1.0, 2 * _scale(image))
    small = tuple(max(1, round(side / scale)) for side in image.shape[:2])
    flakes = (rng.random(small) < share).astype(np.float32) * rng.uniform(0.5, 1, small)
    flakes = cv2.resize(flakes.astype(np.float32), image.shape[1::-1])
    length = max(3, round(8 * _scale(image)))
    kernel = np.eye(length, dtype=np.float32) / length * 3
    flakes = np.clip(cv2.filter2D(flakes, -1, kernel), 0, 1)[..., None]
    grey = np.maximum(image, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None] * 0.75 + 64)
    return _clipped((1 - pale) * image + pale * grey + 255 * flakes)


def brightness(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """More light: the value of HSV rises."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
    hsv[..., 2] += 255 * severity / 10
    return cv2.cvtColor(_clipped(hsv), cv2.COLOR_HSV2BGR)


def contrast(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Less contrast: all values move towards the mean."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = image.mean((0, 1))
    return _clipped((image - mean) * kept + mean)


def jpeg(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """The blocks of strong compression."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def pixelate(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Fewer and larger pixels."""
    kept = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    height, width = image.shape[:2]
    small = cv2.resize(
        image,
        (max(1, round(width * kept)), max(1, round(height * kept))),
        interpolation=cv2.INTER_AREA,
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


KINDS: dict[str, Callable[[Image, int, np.random.Generator], Image]] = {
    function.__name__: function
    for function in (
        gaussian_noise, shot_noise, impulse_noise, defocus_blur, motion_blur, fog, snow, brightness,
        contrast, jpeg, pixelate,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Corruption:
    """A transform for MMSegmentation's pipelines, after the image is loaded.

    Each image gets the same noise in every run: the generator is seeded with its file name.

    Args:
        kind: One of :data:`KINDS`.
        severity: 1 to 5.
    """

    kind: str
    severity: int

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Corrupt ``results['img']``, (H, W, 3) BGR uint8."""
        name = str(results['img_path']).rsplit('/', 1)[-1]
        seed = [zlib.crc32(name.encode()), zlib.crc32(self.kind.encode()), self.severity]
        rng = np.random.default_rng(seed)
        results['img'] = KINDS[self.kind](results['img'], self.severity, rng)
        return results
