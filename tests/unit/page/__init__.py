"""What the page is told: reductions, the answer, documents, routes and files."""
