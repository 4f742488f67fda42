"""Telling people and programs outside the forge what became of a job: webhooks, chats, e-mail."""
