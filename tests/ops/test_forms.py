"""An operation has the same name, file and signature in every form, and forms do not import each other.

The sources are read, not imported: ``fused`` needs Triton.
"""

import ast
from pathlib import Path

import pytest

import mmcoat.ops
from mmcoat.ops import reference

ROOT = Path(mmcoat.ops.__file__).parent
FORMS = 'plain', 'fused'


def function(path: Path, name: str) -> ast.FunctionDef:
    """A function of a file, by name."""
    body = ast.parse(path.read_text()).body
    return next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)


def names(form: str) -> list[str]:
    """What the package of a form exports."""
    body = ast.parse((ROOT / form / '__init__.py').read_text()).body
    found = [n for n in body if isinstance(n, ast.Assign) and n.targets[0].id == '__all__']
    return ast.literal_eval(found[0].value)


@pytest.mark.parametrize('form', FORMS)
def test_every_form_has_the_operations_of_the_reference(form):
    assert names(form) == reference.__all__


@pytest.mark.parametrize('name', reference.__all__)
@pytest.mark.parametrize('form', FORMS)
def test_an_operation_has_its_file_and_its_signature(form, name):
    ours = function(ROOT / form / f'{name}.py', name).args
    right = function(ROOT / 'reference.py', name).args
    for arguments in (ours, right):
        assert not (arguments.defaults or arguments.kwonlyargs or arguments.vararg)
    assert [a.arg for a in ours.args] == [a.arg for a in right.args]


def imported(path: Path) -> set[str]:
    """Modules that a file imports, in full."""
    package = ['mmcoat', 'ops', *path.relative_to(ROOT).parts[:-1]]
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = '.'.join([*base, *([node.module] if node.module else [])])
            modules.add(base)
            modules.update(f'{base}.{alias.name}' for alias in node.names)
    return {module for module in modules if module.startswith('mmcoat')}


def test_forms_do_not_import_each_other():
    assert imported(ROOT / 'plain' / 'norm_mlp.py') >= {'mmcoat.ops.common', 'mmcoat.ops.reference'}
    assert not imported(ROOT / 'reference.py') | imported(ROOT / 'common.py')
    for form, other in (FORMS, FORMS[::-1]):
        for path in (ROOT / form).rglob('*.py'):
            modules = imported(path)
            assert all(module.startswith('mmcoat.ops') for module in modules), path
            assert not any(module.startswith(f'mmcoat.ops.{other}') for module in modules), path
