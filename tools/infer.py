"""Segment, detect or classify images and videos: overlays with a legend, label maps, COCO results, arrays.

INPUT is an image, a video, a folder of images, or a pattern in quotes; several are allowed. If a file cannot
be read, its name is printed, the other files are processed, and the exit status is 1.
"""

import argparse
import json
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from mmcoat import cli
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/infer.py upernet_coat_lite_s_ade20k work_dirs/run/iter_160000.pth photos/ --save overlay,png
  python tools/infer.py mask_rcnn_coat_small_3x_coco auto photo.jpg --score-thr 0.5 --classes person,dog
  python tools/infer.py configs/mine.py mine.pth orthophoto.tif --tiles 512
  python tools/infer.py configs/mine.py mine.pth drive.mp4 --batch-size 4
"""


class Speed(ProgressColumn):
    """Images per second since the start of the task."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed
        if not task.completed or not seconds:
            return Text('')
        return Text(f'{task.completed / seconds:.2f} images/s')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', help="config file, name of one of mmcoat's configs, or of a published file"
    )
    parser.add_argument('checkpoint', help="file or URL; 'auto' with the name of a published file")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='image, video, folder, pattern')
    parser.add_argument('--out-dir', default='results', help='where results go (results)')
    parser.add_argument(
        '--save',
        default='overlay',
        help='comma-separated: overlay, png or tif (label maps), coco (one file), npz (overlay)',
    )
    parser.add_argument('--show', action='store_true', help='open each overlay in a viewer')
    parser.add_argument('--classes', help='comma-separated: keep these only')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    parser.add_argument('--precision', default='auto', help='auto, fp32, bf16 or fp16 (auto)')
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (1)')
    parser.add_argument(
        '--tiles', type=int, metavar='SIDE', help='work in overlapping tiles of SIDE pixels'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation of the config')
    parser.add_argument('--compile', action='store_true', help='compile the backbone first')
    parser.add_argument(
        '--spare-memory',
        action='store_true',
        help='segmentation: enlarge scores a few classes at a time; the same labels in less memory; '
        'on a CPU this is so anyway, unless --tta',
    )
    parser.add_argument(
        '--keep-memory',
        action='store_true',
        help='on CPU: keep freed memory for the next tensors; large images run up to a fifth faster, and the '
        'process stays as large as it once was',
    )
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score of a box (0.3)')
    parser.add_argument('--opacity', type=float, default=0.5, help='of colours, 0 to 1 (0.5)')
    return parser.parse_args()


def check(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the kinds of files to save; report wrong arguments before anything is loaded."""
    from mmcoat.apis.results import KINDS

    kinds = tuple(args.save.split(','))
    if not set(kinds) <= set(KINDS):
        raise UsageError(f'--save takes {", ".join(KINDS)}, got {args.save}')
    if not 0.0 <= args.opacity <= 1.0:
        raise UsageError(f'--opacity must be from 0 to 1, got {args.opacity}')
    return kinds


def find(inputs: list[str], out_dir: str, kinds: tuple[str, ...]) -> tuple[list[Any], list[Any]]:
    """Return images and videos; refuse results that would overwrite an input or each other."""
    from mmcoat.apis.inputs import find_images
    from mmcoat.apis.video import is_video

    found, seen = find_images(inputs), {}
    for path in found:
        if path.stem in seen:
            raise UsageError(
                f'{seen[path.stem]} and {path} would write the same files: run them into two --out-dir'
            )
        seen[path.stem] = path
        same = path.parent.resolve() == Path(out_dir).resolve()
        if 'png' in kinds and path.suffix.lower() == '.png' and same:
            raise UsageError(f'label map and image would both be {path}: take another --out-dir')
    return [p for p in found if not is_video(p)], [p for p in found if is_video(p)]


def run_images(inferencer: Any, images: list, args: Any, kinds: tuple, bar: Progress) -> list[str]:
    """Save the results of all images while the next ones run; return the files that could not be read."""
    broken, entries = [], []
    ids = {path.stem: number for number, path in enumerate(images, 1)}
    task = bar.add_task('images', total=len(images))

    def note(error: UsageError) -> None:
        broken.append(str(error))
        bar.advance(task)

    ahead = 0 if args.tiles else 2 * args.batch_size  # large images are kept one at a time
    with ThreadPoolExecutor(1) as writer:
        waiting: deque[Future] = deque()
        for result in inferencer.iterate(images, args.batch_size, args.tiles, on_error=note):
            kept = result.only(args.classes.split(',')) if args.classes else result
            waiting.append(writer.submit(kept.save, args.out_dir, kinds, args.opacity))
            if 'coco' in kinds:
                entries += kept.to_coco(ids[kept.name])
            if args.show:
                from PIL import Image

                Image.fromarray(kept.plot(args.opacity)).show(title=kept.name)
            while len(waiting) > ahead:
                waiting.popleft().result()
                bar.advance(task)
        for future in waiting:
            future.result()
            bar.advance(task)
    if 'coco' in kinds:
        write_coco(args.out_dir, entries, ids, images)
    return broken


def write_coco(out_dir: str, entries: list, ids: dict[str, int], images: list) -> None:
    """Write COCO's result entries of all images, and the images' ids and names."""
    names = [dict(id=ids[path.stem], file_name=path.name) for path in images]
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    for name, content in (('results', entries), ('images', names)):
        Path(out_dir, f'{name}.json').write_text(json.dumps(content))


def run_videos(inferencer: Any, videos: list, args: Any, bar: Progress) -> list[str]:
    """Write each video with results over its frames, and return the videos that could not be read."""
    broken = []
    for path in videos:
        task = bar.add_task(path.name, total=None)
        target = Path(args.out_dir, f'{path.stem}_overlay.mp4')
        try:
            inferencer.video(
                path,
                target,
                args.opacity,
                args.batch_size,
                lambda done, total, t=task: bar.update(t, completed=done, total=total or None),
            )
        except UsageError as error:
            broken.append(str(error))
    return broken


@cli.command
def main() -> int:
    args = parse_args()
    if args.keep_memory:
        cli.keep_memory()
    from mmcoat.apis import Inferencer
    from mmcoat.runs import bound_kernel_caches

    bound_kernel_caches()  # a folder may hold images of a thousand sizes
    kinds = check(args)
    images, videos = find(args.inputs, args.out_dir, kinds)
    inferencer = Inferencer(
        args.config,
        None if args.checkpoint == 'auto' else args.checkpoint,
        device=args.device,
        precision=args.precision,
        score_thr=args.score_thr,
        tta=args.tta,
        compile=args.compile,
        spare_memory=args.spare_memory or None,
    )
    with cli.progress(Speed()) as bar:
        broken = run_images(inferencer, images, args, kinds, bar) if images else []
        broken += run_videos(inferencer, videos, args, bar)
    for message in broken:
        print(f'infer.py: skipped: {message}', file=sys.stderr)
    count = len(images) + len(videos)
    print(f'{count - len(broken)} of {count} inputs: results in {args.out_dir}')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
