"""A finished run behind HTTP, and a page in the browser (docs/serve.md)."""
