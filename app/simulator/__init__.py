"""A model provider that speaks both vendors' wire over HTTP, answers by rules, and breaks on command.

It knows no other room. Its start, `__main__`, gives it the rules that products bring.
"""
