"""Hook of the documentation site: replaces links to repository files that the site lacks by their names."""

import re

# [text](../path), outside of docs/
OUTSIDE = re.compile(r'\[([^\]]+)\]\(\.\./([^)]+)\)')


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Replace each link to a file outside docs/ by its text, and add the path if it is not the text."""

    def name(match: re.Match[str]) -> str:
        text, path = match.groups()
        return f'`{path}`' if text.strip('`') in path else f'{text} (`{path}`)'

    return OUTSIDE.sub(name, markdown)
