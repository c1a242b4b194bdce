"""The speed of one worker beside a bare forward in the same run: `make bench`.

The server under test has one core; the load generator, the instant provider and the stores have the other. Every round measures
every contestant in turn, and the table shows medians with their range. Figures move from machine to machine: compare ratios.
"""
