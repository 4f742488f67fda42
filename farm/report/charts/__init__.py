"""Charts of the HTML report and of the dashboard."""
