"""mmcoat's registries: children of mmengine's with the scope ``mmcoat``.

MMEngine imports ``<scope>.registry`` when it meets ``type='<scope>.Name'``, and each registry imports
its ``locations`` at its first look-up. So ``type='mmcoat.CoaT'`` builds from every OpenMMLab toolbox
without ``custom_imports``.
"""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry('model', scope='mmcoat', parent=MMENGINE_MODELS, locations=['mmcoat.models'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    scope='mmcoat',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['mmcoat.engine.optimizers'],
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    scope='mmcoat',
    parent=MMENGINE_OPTIM_WRAPPERS,
    locations=['mmcoat.engine.optim_wrappers'],
)
METRICS = Registry(
    'metric', scope='mmcoat', parent=MMENGINE_METRICS, locations=['mmcoat.evaluation']
)
HOOKS = Registry('hook', scope='mmcoat', parent=MMENGINE_HOOKS, locations=['mmcoat.engine.hooks'])
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    scope='mmcoat',
    parent=MMENGINE_PARAM_SCHEDULERS,
    locations=['mmcoat.engine.schedulers'],
)
TRANSFORMS = Registry(
    'transform',
    scope='mmcoat',
    parent=MMENGINE_TRANSFORMS,
    locations=['mmcoat.datasets.transforms'],
)
LOOPS = Registry('loop', scope='mmcoat', parent=MMENGINE_LOOPS, locations=['mmcoat.engine.loops'])
