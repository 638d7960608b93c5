"""The bit-efficient comparison: ways to quantize one network side by side (Nayak, Zhang and Chai, arXiv 1910.04877).

``schemes.py``: what is compared. ``weights.py``: range, zeros, distinct values, bits and noise of the weights, from the
weights alone. ``outputs.py``: what the network puts out, and its accuracy. ``groups.py``: classes taken together, which
tells how far the bits may go where only kinds of objects matter. ``luts.py``: hardware at one rate for all.
``sensitivity.py``: which layers mind. ``comparison.py`` goes through the schemes, ``chart.py`` draws what it found.
"""

from .comparison import compare
from .groups import Groups
from .places import check_plot, check_record
from .plot import plot
from .schemes import Scheme, parse_schemes

__all__ = ["Groups", "Scheme", "check_plot", "check_record", "compare", "parse_schemes", "plot"]
