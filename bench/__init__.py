"""What the receive path costs and how true its figures are; run it with `python -m bench`.

Every part compares side by side in one run: the same server, the same codes, one after
the other and round again, so that a machine that is slow for a while is slow for all.
"""
