"""Use an exported ONNX program with only onnxruntime, NumPy and Pillow, without PyTorch and OpenMMLab.

    python tools/export.py CONFIG CHECKPOINT --dynamic height,width --out model.onnx
    python examples/onnx_inference.py model.onnx photo.jpg --out overlay.png

Segmentors: the label map is drawn over the image into --out, and the share of each class is printed.
Classifiers: the five best classes are printed. The required values (normalisation, classes, colours) are in
the program's metadata, which tools/export.py writes.
"""

import argparse
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def read_metadata(session: onnxruntime.InferenceSession) -> dict:
    """Return the metadata that tools/export.py wrote into the program."""
    found = session.get_modelmeta().custom_metadata_map.get('mmcoat')
    if found is None:
        sys.exit('this program has no metadata of mmcoat: was it written by tools/export.py?')
    return json.loads(found)


def choose_size(session: onnxruntime.InferenceSession, image: Image.Image, smallest: int) -> tuple:
    """Return the width and height for the program: its fixed ones, else those of the image."""
    _, _, height, width = session.get_inputs()[0].shape  # a name if any size is allowed
    own = [max(side, smallest) for side in image.size]
    return (
        width if isinstance(width, int) else own[0],
        height if isinstance(height, int) else own[1],
    )


def prepare(image: Image.Image, size: tuple, metadata: dict) -> np.ndarray:
    """Return a batch of one image (1, 3, H, W): uint8 RGB if the program normalises, else normalised here."""
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    pixels = pixels.transpose(2, 0, 1)[None]  # (H, W, 3) -> (1, 3, H, W)
    if metadata['preprocess']:
        return np.ascontiguousarray(pixels)
    settings = metadata['preprocessing']
    mean, std = (np.float32(settings[name]).reshape(3, 1, 1) for name in ('mean', 'std'))
    pixels = pixels if settings['rgb'] else pixels[:, ::-1]
    return ((pixels - mean) / std).astype(np.float32)


def pad(batch: np.ndarray, session: onnxruntime.InferenceSession, metadata: dict) -> np.ndarray:
    """Pad dynamic sizes at the bottom and right to the multiple that the model uses in tests."""
    settings, axes = metadata['preprocessing'], session.get_inputs()[0].shape[2:]
    missing = [
        0 if isinstance(axis, int) else -side % settings['divisor']
        for axis, side in zip(axes, batch.shape[2:], strict=True)
    ]
    value = np.full((3, 1, 1), settings['pad_value'])
    if metadata['preprocess']:  # the pixel value that is nearest to this one after normalisation
        value = value * np.reshape(settings['std'], (3, 1, 1)) + np.reshape(
            settings['mean'], (3, 1, 1)
        )
        value = (value if settings['rgb'] else value[::-1]).round().clip(0, 255)
    height, width = batch.shape[2:]
    padded = np.empty((1, 3, height + missing[0], width + missing[1]), batch.dtype)
    padded[:] = value
    padded[..., :height, :width] = batch
    return padded


def best(scores: np.ndarray, threshold: float | None) -> np.ndarray:
    """Scores (classes, H, W) -> labels (H, W); a single class uses a threshold."""
    if threshold is None:
        return scores.argmax(0)
    return (1 / (1 + np.exp(-scores[0])) > threshold).astype(int)


def segment(image: Image.Image, labels: np.ndarray, metadata: dict, out: str) -> None:
    """Write the overlay, and print the share of each class."""
    count = int(labels.max()) + 1
    names = metadata['classes'] or [f'class {i}' for i in range(count)]
    colours = np.random.default_rng(0).integers(0, 255, (256, 3))
    colours = np.array(metadata['palette'] or colours, dtype=np.uint8)
    painted = Image.fromarray(colours[labels]).resize(image.size, Image.Resampling.NEAREST)
    Image.blend(image, painted, 0.5).save(out)
    for label in np.argsort(-np.bincount(labels.ravel())):
        share = (labels == label).mean()
        if share > 0:
            print(f'{100 * share:5.1f} %  {names[label]}')
    print(f'overlay: {out}')


def classify(logits: np.ndarray, metadata: dict) -> None:
    """Print the five best classes."""
    weights = np.exp(logits - logits.max())
    for label in np.argsort(-logits)[:5]:
        name = metadata['classes'][label] if metadata['classes'] else f'class {label}'
        print(f'{100 * weights[label] / weights.sum():5.1f} %  {name}')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('program', help='.onnx, written by tools/export.py with --part model')
    parser.add_argument('image')
    parser.add_argument('--out', default='overlay.png', help='overlay of a segmentor (overlay.png)')
    args = parser.parse_args()
    session = onnxruntime.InferenceSession(args.program, providers=['CPUExecutionProvider'])
    metadata = read_metadata(session)
    if metadata['part'] != 'model':
        sys.exit(f'this program is a {metadata["part"]}: it gives maps, and no answer to show')
    image = Image.open(args.image).convert('RGB')
    batch = prepare(image, choose_size(session, image, metadata['smallest']), metadata)
    height, width = batch.shape[2:]
    result = session.run(None, {'image': pad(batch, session, metadata)})[0][0]
    if metadata['task'] == 'classification':
        if metadata['output'] == 'labels':
            print(metadata['classes'][result] if metadata['classes'] else f'class {result}')
        else:
            classify(result, metadata)
        return
    labels = result if metadata['output'] == 'labels' else best(result, metadata['threshold'])
    segment(image, labels[:height, :width], metadata, args.out)


if __name__ == '__main__':
    main()
