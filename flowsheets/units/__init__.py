"""Which unit operations are ready to use?"""

from titer.flowsheets.units.batch_reactor import BatchReactor

__all__ = ["BatchReactor"]
