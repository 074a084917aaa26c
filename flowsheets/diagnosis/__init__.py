"""What is wrong with a plant under a recipe, before anything is solved? One file a question, and the report of all."""
