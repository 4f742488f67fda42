"""Who a visitor of the dashboard is, and what they may see."""
