"""Print a config, with everything that it inherits and with the overrides."""

import argparse
import sys

from mmcoat import cli, runs


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument('--save-path', help='also write it to this file (.py, .json or .yml)')
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    if args.save_path:
        runs.save_config(cfg, args.save_path)
    print(cfg.pretty_text)


if __name__ == '__main__':
    sys.exit(main())
