"""How was a mean batch of Yarrowia lipolytica on oil operated? Oxygen and feed, held in steps (CitrateFermenter)."""

from __future__ import annotations

# Steps: when they begin, dissolved oxygen, a human operator's feed.
STEPS = (0.0, 5.0, 10.0, 23.0, 28.0, 34.0, 47.5, 55.0, 72.0, 80.0, 95.0, 102.0, 120.0)  # h
END = 140.0  # h
OXYGEN = (  # %
    98.5875,
    71.3475,
    43.57285,
    28.51669,
    24.61062,
    24.58139,
    28.96252,
    30.63478,
    24.3449,
    29.33842,
    31.89646,
    34.51994,
    36.03211,
)
FEED = (  # L/h
    0.0,
    0.0003131863,
    0.0041663280,
    0.0098325692,
    0.0087833820,
    0.0077948404,
    0.0056611497,
    0.0038797959,
    0.0041133889,
    0.0019123248,
    0.0015901411,
    0.0015340615,
    0.0011494357,
)
