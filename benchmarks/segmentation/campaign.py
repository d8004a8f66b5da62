"""The whole comparison: runs, measurements, report; finished parts are not repeated."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.environment import describe
from mmcoat.errors import UsageError

from . import costs, jobs
from .contender import SCORE, Contender
from .plan import Plan, common_config, within
from .report import write_report

RESULTS = 'results.json'


def run(plan: Plan, say: Callable[[str], object]) -> list[Path]:
    """Do everything that is not finished yet, report after every seed, and return the report's files.

    Raises:
        UsageError: A config cannot take part, a run failed, or there is nothing to report.
    """
    if plan.report_only and not any(plan.out.glob(f'*/seed_*/{jobs.SCORES}')):
        raise UsageError(f'{plan.out} holds no finished run to report')
    contenders = [_enter(plan, name, say) for name in plan.configs]
    models = {c.name: costs.build(c.cfg) for c in contenders}
    sizes = {c.name: costs.test_size(c.cfg) for c in contenders}
    for name, found in costs.measure(models, sizes, plan.repeats).items():
        next(c for c in contenders if c.name == name).costs = found
    del models
    files: list[Path] = []
    # seed by seed, so that an interrupted comparison has the same seeds for all configs
    for seed in range(plan.seeds):
        for contender in contenders:
            _seed(plan, contender, seed, say)
        if all(len(c.scores) == seed + 1 for c in contenders):
            files = _report(plan, contenders)
            say(f'seed {seed}: {files[0]}')
    if not files:
        files = _report(plan, [c for c in contenders if c.scores])
    return files


def _enter(plan: Plan, name: str, say: Callable[[str], object]) -> Contender:
    cfg = common_config(plan, name)
    iterations = int(plan.amount or cfg.train_cfg.max_iters)
    if plan.budget == 'minutes':
        seconds = jobs.seconds_per_iteration(cfg, plan.out / name / 'speed', plan.gpus)
        iterations = jobs.iterations_for(plan.amount or 0, seconds)
        say(f'{name}: {seconds:.3f} s per iteration, {iterations} iterations')
    return Contender(name, within(cfg, iterations, 0, plan.validations), iterations)


def _seed(plan: Plan, contender: Contender, seed: int, say: Callable[[str], object]) -> None:
    folder = plan.out / contender.name / f'seed_{seed}'
    if plan.report_only and not (folder / jobs.SCORES).is_file():
        return
    cfg = copy.deepcopy(contender.cfg)
    cfg.randomness = dict(seed=seed)
    if not plan.report_only:
        say(f'{contender.name}, seed {seed}')
        jobs.train(cfg, folder, plan.gpus)
    contender.scores.append(jobs.test(cfg, folder))
    rows = list(jobs.log_rows(folder))
    # a resumed run logs some iterations again: the last row of an iteration counts
    curve = {row['step']: row[SCORE] for row in rows if SCORE in row}
    contender.curves.append(sorted(curve.items()))
    times = {row['iter']: row['time'] for row in rows if 'iter' in row and 'time' in row}
    mean = sum(times.values()) / max(1, len(times))
    contender.minutes.append(mean * contender.iterations / 60)


def _report(plan: Plan, contenders: list[Contender]) -> list[Path]:
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    environment = describe(device)
    settings = dict(
        seeds=plan.seeds, budget=plan.budget, amount=plan.amount, init=plan.init, gpus=plan.gpus
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    content = dict(
        schema='mmcoat-segmentation-benchmark/1',
        environment=environment,
        settings=settings,
        contenders=[c.to_json() for c in contenders],
    )
    path = plan.out / RESULTS
    path.write_text(json.dumps(content, indent=1) + '\n')
    return [*write_report(plan, contenders, environment), path]
