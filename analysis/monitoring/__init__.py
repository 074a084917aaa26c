"""Is a batch normal while it runs, and if not, which variable left, when? Innovations, unfolded components."""

from titer.analysis.monitoring.charts import Alarm, Chart, screen, watch
from titer.analysis.monitoring.components import ComponentMonitor, Limits, component_monitor
from titer.analysis.monitoring.detection import Detection, detection, false_alarms
from titer.analysis.monitoring.innovations import (
    InnovationMonitor,
    innovation_monitor,
    learned_monitor,
    posterior_monitor,
)
from titer.analysis.monitoring.layout import Layout
from titer.analysis.monitoring.limits import hotelling_limit, jackson_mudholkar
from titer.analysis.monitoring.monitor import Monitor, Statistic
from titer.analysis.monitoring.pictures import plot_chart

__all__ = [
    "Alarm",
    "Chart",
    "ComponentMonitor",
    "Detection",
    "InnovationMonitor",
    "Layout",
    "Limits",
    "Monitor",
    "Statistic",
    "component_monitor",
    "detection",
    "false_alarms",
    "hotelling_limit",
    "innovation_monitor",
    "jackson_mudholkar",
    "learned_monitor",
    "plot_chart",
    "posterior_monitor",
    "screen",
    "watch",
]
