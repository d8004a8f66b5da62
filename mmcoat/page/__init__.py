"""A page in the browser to try a model: see docs/page.md. It needs Gradio (the extra ``page``)."""
