"""What pages show and no test can run word for word: why, and what runs it instead.

Such a command is still checked as far as possible, see tests/docs/dry_run.py.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.helpers import ROOT


@dataclass(frozen=True)
class Excepted:
    """Commands, or a block of Python, that are not run.

    Attributes:
        page: Path from the root of the repository.
        start: How the commands start; of a block of Python a piece of its text.
        reason: Why not.
        instead: File that runs it, or as much of it as can be had; '' where nothing does.
        proof: What stands in that file: the page's name, or the command.
        needs: A package; where it is installed, the commands are run.
    """

    page: str
    start: str
    reason: str
    instead: str = ''
    proof: str = ''
    needs: str = ''


NETWORK = 'needs the package index'
MINUTES = 'takes minutes to hours'
BY_HAND = 'takes minutes to hours, and was run by hand for the numbers on the page'
PACKAGE = 'needs a package that is not in every environment'
SERVER = 'is a server, which does not end'

DEMO = 'tests/demo/test_demo.py'
EXPORT = 'tests/export/test_example.py'
INSTALL = 'tests/docs/try_install.sh'
PACKAGES = 'tests/visualization/test_packages.py'
PAGE = 'tests/page/test_page.py'
SCALE_OUT = 'tests/runs/test_scale_out.py'
SPEED = 'tests/benchmarks/test_results.py'
WHEEL = 'tests/package/try_package.sh'

# fmt: off
ROWS = (
    ('README.md', 'make demo', MINUTES, DEMO, 'run_tool'),
    ('README.md', 'make test', 'it is what runs this', '.ci/run', 'make test\n'),
    ('README.md', 'pip install', NETWORK, INSTALL, 'block README.md'),
    ('README.md', 'tools/dist_train.sh', 'eight processes', SCALE_OUT, 'dist_train.sh'),
    ('docs/analysis.md', 'python tools/verify_checkpoint.py', 'needs ImageNet, COCO, published weights',
     'tests/analysis/test_verification.py', "TOOL = 'verify_checkpoint'"),
    ('docs/demo.md', 'make demo', MINUTES, DEMO, 'demo_det'),
    ('docs/export.md', 'pip install', NETWORK, 'Makefile', "-e '.[export,"),
    ('docs/export.md', 'python tools/export.py', PACKAGE, EXPORT, 'export.md', 'onnx'),
    ('docs/export.md', 'python examples/', PACKAGE, EXPORT, 'export.md', 'onnxruntime'),
    ('docs/export.md', 'make demo', MINUTES, DEMO, 'run_tool'),
    ('docs/export.md', 'python tools/benchmark_programs.py', MINUTES,
     'tests/export/test_benchmark.py', "'benchmark_programs'"),
    ('docs/install.md', 'git clone', NETWORK, INSTALL, 'clone'),
    ('docs/install.md', 'pip install', NETWORK, INSTALL, 'block docs/install.md'),
    ('docs/install.md', 'MMCV_WITH_OPS=1 pip', 'compiles for 10 minutes', 'Makefile', 'MMCV_WITH_OPS=1'),
    ('docs/kernels.md', 'pip install', NETWORK, 'Makefile', 'install --no-deps triton'),
    ('docs/kernels.md', 'OMP_NUM_THREADS=1 pytest', 'these are tests themselves', '.ci/run', 'make test'),
    ('docs/kernels.md', 'python -m tests.ops.fused.ahead_of_time', MINUTES,
     'tests/ops/fused/test_ahead_of_time.py', "run('ahead_of_time')"),
    ('docs/mim.md', 'mim ', NETWORK, 'tests/mim/try_mim.sh', 'mim train mmcoat'),
    ('docs/mim.md', 'mim=$(', 'needs a wheel', WHEEL, 'block docs/mim.md'),
    ('docs/mim.md', 'python $mim', 'needs a wheel', WHEEL, 'block docs/mim.md'),
    ('docs/model_zoo.md', 'python tools/test.py', PACKAGE,
     'tests/classification/test_page.py', 'model_zoo.md', 'mmpretrain'),
    ('docs/own_loop.md', 'import segmentation_models_pytorch', PACKAGE,
     'tests/models/test_smp.py', 'own_loop.md', 'segmentation_models_pytorch'),
    ('docs/page.md', 'pip install', NETWORK, 'Makefile', "-e '.[export,page,"),
    ('docs/page.md', 'python tools/page.py', SERVER, PAGE, "'page.py'"),
    ('docs/page.md', 'make page', SERVER, PAGE, "'page.py'"),
    ('docs/performance.md', 'python tools/benchmark.py', 'needs a GPU', SPEED, "'benchmark'"),
    ('docs/performance.md', 'make ', MINUTES, SPEED, "'benchmark'"),
    ('docs/reliability.md', 'python -m tests.campaign.inputs', MINUTES, 'Makefile', 'campaign.inputs\n'),
    ('docs/reliability.md', 'python -m tests.campaign.kill', MINUTES, 'Makefile', '--task detection\n'),
    ('docs/reliability.md', 'python -m tests.campaign.mutations', MINUTES,
     'Makefile', 'campaign.mutations\n'),
    ('docs/reliability.md', 'python -m tests.campaign.numbers', BY_HAND),
    ('docs/reliability.md', 'python -m tests.campaign.load', BY_HAND),
    ('docs/segmentation_benchmark.md', 'python tools/benchmark_segmentation.py', MINUTES,
     'tests/benchmarks/test_segmentation.py', "'benchmark_segmentation'"),
    ('docs/visualization.md', 'from pytorch_grad_cam', PACKAGE, PACKAGES, "run_example('pytorch_grad_cam'"),
    ('docs/visualization.md', 'from captum', PACKAGE, PACKAGES, "run_example('captum'"),
)
# fmt: on
EXCEPTIONS = tuple(Excepted(*row) for row in ROWS)


def find_exceptions(page: Path, text: str) -> list[Excepted]:
    """Return the exceptions that apply here to a block of a page."""
    path = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else ''
    return [
        e
        for e in EXCEPTIONS
        if e.page == path and e.start in text and not (e.needs and find_spec(e.needs))
    ]
