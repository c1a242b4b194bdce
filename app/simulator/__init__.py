"""A model provider that speaks both vendors' wire over HTTP, answers by rules, and breaks on command. Knows no other room."""
