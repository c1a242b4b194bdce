"""`python -m app.cli` is `octant`."""

from app.cli import main

main()
