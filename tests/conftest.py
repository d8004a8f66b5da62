"""Every test starts as a fresh process would: no test may depend on which ran before it."""

import pytest
from mmengine.utils import ManagerMixin

from tests.helpers import forget_instances


@pytest.fixture(autouse=True)
def no_instances_of_earlier_tests():
    """Forget the default scope, the loggers and the visualizers that an earlier test left."""
    forget_instances(ManagerMixin)
