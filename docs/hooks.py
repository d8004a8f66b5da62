"""Hook of the documentation site: links to files of the repository, which the site has not, become names."""

import re

# [text](../path), outside of docs/
OUTSIDE = re.compile(r'\[([^\]]+)\]\(\.\./([^)]+)\)')


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Replace each link to a file outside docs/ by its text, with the path where the text is another."""

    def name(match: re.Match[str]) -> str:
        text, path = match.groups()
        return f'`{path}`' if text.strip('`') in path else f'{text} (`{path}`)'

    return OUTSIDE.sub(name, markdown)
