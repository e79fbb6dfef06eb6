"""The patterns of a diagnosis: each looks for one shape in the symptoms of a run."""
