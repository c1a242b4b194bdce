"""The pages, one module each: what it reads, and how it says it."""
