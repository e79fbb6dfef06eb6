"""What a run leaves behind: on the console and in files, all computed from one report."""
