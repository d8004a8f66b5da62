"""Open a page in the browser to try models on images: overlay, legend, attention of a clicked pixel, times.

It offers the given model, the models trained by `make demo` and `make demo-det`, and the published ones.
Nothing is sent to other hosts. A published model is downloaded when it is first chosen.
"""

import argparse
import os
import sys
import tempfile

from mmcoat import cli
from mmcoat.errors import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('config', nargs='?', help='config file, name of a config, or of a published file')
    add('checkpoint', nargs='?', help='file or URL; not needed with a published file')
    add('--host', default='127.0.0.1', help='address to listen on; 0.0.0.0 for all (127.0.0.1)')
    add('--port', type=int, help='port to listen on (the first free one from 7860)')
    add('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    add('--work-dirs', default='work_dirs', help='where the demos trained (work_dirs)')
    add(
        '--share',
        choices=('no', 'yes'),
        default='no',
        help="yes: a public address, through Gradio's servers (no)",
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # before Gradio is imported
    with tempfile.TemporaryDirectory(prefix='mmcoat-page-') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder  # uploads and results go when the page ends
        try:
            from mmcoat.page import layout
        except ModuleNotFoundError as error:
            if error.name != 'gradio':
                raise
            raise UsageError("the page needs Gradio: pip install 'mmcoat[page]'") from None
        from mmcoat.apis.models import choose_device
        from mmcoat.page.shelf import Shelf, find_choices
        from mmcoat.runs import bound_kernel_caches

        choose_device(args.device)
        bound_kernel_caches()
        shelf = Shelf(find_choices(args.config, args.checkpoint, args.work_dirs), args.device)
        page = layout.build(shelf, folder)
        address = layout.launch(page, args.host, args.port, args.share == 'yes')
        print(f'{address} (Ctrl+C ends it)', flush=True)
        page.block_thread()


if __name__ == '__main__':
    sys.exit(main())
