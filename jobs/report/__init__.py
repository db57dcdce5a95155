"""The report: page, pictures, Markdown and JSON, made from numbers alone."""
