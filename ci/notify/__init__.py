"""Notices of a job's result outside the forge: webhooks, chats, e-mail."""
