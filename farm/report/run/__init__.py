"""Reports of a run as Markdown, terminal and notebook output."""
