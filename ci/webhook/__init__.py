"""Webhooks: taken in, understood, and turned into what is to be done."""
