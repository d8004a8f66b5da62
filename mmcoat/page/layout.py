"""The page itself, in Gradio."""

import tempfile
import traceback
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from mmcoat.errors import UsageError
from mmcoat.runs.failures import explain, last_line

from .answers import answer, attention, legend_html
from .shelf import Shelf

LAST = 'last'
HINT = 'Drop an image. Then click on the result: the attention of that pixel appears below.'
STYLE = """
.legend { list-style: none; padding: 0; margin: 0; columns: 14em; }
.legend li { display: flex; align-items: center; gap: .5em; break-inside: avoid; padding: .1em 0; }
.legend i { width: 1em; height: 1em; border: 1px solid #888; flex: none; }
.legend b { margin-left: auto; padding-right: 1em; font-weight: 600; }
.status, .failed { overflow-wrap: anywhere; }
.failed { color: #b91c1c; font-weight: 600; }
.dark .failed { color: #fca5a5; }
#overlay img { cursor: crosshair; width: 100%; max-height: 70vh; object-fit: contain; }
#attention { overflow-x: auto; }
#attention img { min-width: 640px; }
"""


class Handlers:
    """The actions of the page; each returns values for its components, and an error as one line.

    Args:
        shelf: The models.
        folder: Folder for files, used until the page ends.
    """

    def __init__(self, shelf: Shelf, folder: str | Path):
        self.shelf, self.folder = shelf, folder

    def _place(self) -> str:
        return tempfile.mkdtemp(dir=self.folder)  # two images may have the same name

    def choose_task(self, task: str) -> tuple:
        """Show the models of a task, and the slider for box scores if the task has boxes."""
        labels = self.shelf.labels(task)
        return gr.update(choices=labels, value=labels[0]), gr.update(visible=task == 'detection')

    def run(self, path: str | None, label: str | None, score: float) -> tuple:
        """Return status, overlay, legend, two files and the shown image; clear pixel, status and figure."""
        if not path:
            return _status(HINT), None, '', *_downloads([]), None, None, '', None

        def work() -> tuple:
            inferencer, seconds = self.shelf.take(label)
            inferencer.score_thr = score
            found = answer(inferencer, path, self._place())
            height, width = found.overlay.shape[:2]
            text = f'{width} x {height} pixels in {found.milliseconds:.0f} ms'
            text += f' on {inferencer.device}, {inferencer.precision}'
            if seconds:
                text += f' (its first run; loaded in {seconds:.1f} s)'
            legend, files = legend_html(found.legend), _downloads(found.files)
            return _status(text), found.overlay, legend, *files, (label, path), None, '', None

        return _told(work, None, '', *_downloads([]), None, None, '', None)

    def attend(self, shown: tuple | None, pixel: tuple | None, stage: str) -> tuple:
        """Return status and attention figure for a pixel of the shown image."""
        if shown is None or pixel is None:
            return '', None

        def work() -> tuple:
            inferencer, _ = self.shelf.take(shown[0])
            number = None if stage == LAST else int(stage)
            place = int(pixel[0]), int(pixel[1])
            file, taken = attention(inferencer, shown[1], place, self._place(), number)
            text = f'pixel {place[0]},{place[1]} in {taken:.0f} ms, drawing included'
            return _status(text), str(file)

        return _told(work, None)


def _status(text: str, failed: bool = False) -> str:
    return f'<div role="status" class="{"failed" if failed else "status"}">{escape(text)}</div>'


def _downloads(files: list[Path]) -> list[dict[str, Any]]:
    """Return the two download buttons: for the overlay and for the result itself."""
    names = {'.png': 'Label map (PNG)', '.json': 'Boxes (COCO JSON)'}
    buttons = []
    for i in range(2):
        file = files[i] if i < len(files) else None
        label = names[file.suffix] if file and i else 'Overlay (PNG)'
        buttons.append(gr.update(label=label, value=file and str(file), visible=file is not None))
    return buttons


def _told(work: Callable[[], tuple], *nothing: Any) -> tuple:
    """Return the result of ``work``, or an error in one line and ``nothing``."""
    try:
        return work()
    except Exception as error:
        told = explain(error)
        text = str(told)
        if told is None:
            traceback.print_exc()
            text = f'{type(error).__name__}: {last_line(error)} (the terminal shows where)'
        return _status(' '.join(text.split()), failed=True), *nothing


def build(shelf: Shelf, folder: str | Path) -> gr.Blocks:
    """Return the page.

    Args:
        shelf: The models, at least one.
        folder: Where files go.
    """
    handlers = Handlers(shelf, folder)
    with gr.Blocks(title='mmcoat', analytics_enabled=False) as page:
        gr.Markdown('# mmcoat: try a model')
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                inputs = _inputs(handlers)
            with gr.Column(scale=2, min_width=300):
                outputs = _outputs()
        gr.Markdown('### Attention of a pixel')
        stages = [LAST, '0', '1', '2', '3']
        stage = gr.Radio(stages, value=LAST, label='Stage', elem_id='stage')
        seen = gr.HTML(elem_id='seen'), _picture('attention', ['download', 'fullscreen'])
        shown, pixel = gr.State(), gr.State()

        one = dict(concurrency_id='model', concurrency_limit=1)  # one thread at a time per model
        upload, model, score = inputs
        changes = [upload.change, model.change, score.release]
        gr.on(changes, handlers.run, inputs, [*outputs, shown, pixel, *seen], **one)
        attend = dict(fn=handlers.attend, inputs=[shown, pixel, stage], outputs=[*seen], **one)
        outputs[1].select(_clicked, None, pixel).then(**attend)
        stage.input(**attend)
    return page


def _inputs(handlers: Handlers) -> list[Any]:
    """Return image, model and the lowest score."""
    tasks = handlers.shelf.tasks()
    labels = handlers.shelf.labels(tasks[0])
    task = gr.Radio(tasks, value=tasks[0], label='Task', elem_id='task')
    model = gr.Dropdown(labels, value=labels[0], label='Model', elem_id='model')
    upload = gr.File(label='Image', file_types=['image'], height=150, elem_id='upload')
    boxes = tasks[0] == 'detection'
    score = gr.Slider(0, 1, 0.3, step=0.05, label='Lowest score of a box', visible=boxes)
    task.input(handlers.choose_task, task, [model, score])
    return [upload, model, score]


def _outputs() -> list[Any]:
    """Return status, overlay, legend and the two buttons."""
    status, overlay = gr.HTML(_status(HINT), elem_id='status'), _picture('overlay', [])
    legend = gr.HTML(elem_id='legend')
    with gr.Row():
        buttons = [
            gr.DownloadButton(visible=False, size='sm', elem_id=f'file{i}') for i in range(2)
        ]
    return [status, overlay, legend, *buttons]


def _picture(name: str, buttons: list[str]) -> gr.Image:
    # never the button 'share', which sends the picture to another host
    how = dict(interactive=False, show_label=False, format='png', type='filepath')
    return gr.Image(label=name, elem_id=name, buttons=buttons, **how)


def _clicked(event: gr.SelectData) -> tuple[int, int]:
    return event.index


def launch(page: gr.Blocks, host: str, port: int | None, share: bool) -> str:
    """Serve a page from a thread, and return its address.

    Raises:
        UsageError: The port is taken.
    """
    local = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    try:
        _, address, shared = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            theme=local,
            css=STYLE,
            footer_links=[],
            quiet=True,
            ssr_mode=False,
            prevent_thread_lock=True,
            max_file_size='100mb',
        )
    except OSError as error:
        raise UsageError(
            f'port {port or "7860 to 7959"} on {host} cannot be used: {error}'
        ) from None
    return shared or address
