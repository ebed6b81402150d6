"""Formatters: each turns scored groups into the rows that one kind of training reads."""
