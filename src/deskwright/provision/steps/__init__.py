"""What each step of the pipeline does, one file for each stage."""
