"""A model provider that speaks both vendors' protocols, answers by rules, and fails on command.

It knows no other room. Its start, `__main__`, gives it the rules that products bring.
"""
