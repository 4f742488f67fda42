"""The dashboard: pages for people, at `/`. One module a page; templates and assets beside them."""
