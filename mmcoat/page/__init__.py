"""A page in the browser to try a model on: see docs/page.md. Needs Gradio, the extra ``page``."""
