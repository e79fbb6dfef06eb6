"""A campaign of planted faults: what the diagnosis calls them."""
