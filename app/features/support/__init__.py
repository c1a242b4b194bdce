"""THE WORKED EXAMPLE: customer support for a shop. Delete this folder, its migration and its prompts' pins to start your own."""
