"""Pages made from the code: a table under each marker of docs/*.md, written by ``make docs`` and held by a test."""
