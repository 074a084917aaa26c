"""Do the recipes and balances that the cases of cultures stand on hold by themselves?"""

from __future__ import annotations

import numpy as np
import pytest

from titer.cases import cho_culture, pichia_upstream
from titer.flowsheets import simulate


def test_the_oxygen_taken_up_burns_what_was_eaten_less_what_was_made() -> None:
    run = simulate(
        pichia_upstream.plant(), pichia_upstream.recipe(), inputs={"reactor.F_g": 0.03, "reactor.F_m": 0.03}, points=400
    )
    frame = run.frame()
    time, V = frame.index.to_numpy(), 0.5
    lost = {key: np.trapezoid(frame["reactor.harvest.flow"] * frame[f"reactor.{key}"], time) for key in ("Sg", "Sm")}
    glycerol = V * (40.0 - run.at_end("reactor.Sg")) + 0.03 * 10.0 * 80.0 - lost["Sg"]
    methanol = 0.03 * 28.0 * 40.0 - V * run.at_end("reactor.Sm") - lost["Sm"]
    biomass = V * (run.at_end("reactor.X") - 0.1)
    # by degrees of reduction: biomass from ammonia 4 + 1.8 - 2 x 0.5 - 3 x 0.2, glycerol 14, methanol 6, oxygen 4
    expected = 32.0 / 4.0 * (14.0 * glycerol / 92.09 + 6.0 * methanol / 32.04 - 4.2 * biomass / 24.6)
    assert V * np.trapezoid(pichia_upstream.oxygen(frame), time) == pytest.approx(expected, rel=1e-3)


def test_boluses_end_where_the_lactate_is_at_its_limit_and_the_last_one_is_counted() -> None:
    schedule = cho_culture.Schedule(bolus=0.04)
    run = cho_culture.practised(schedule, cho_culture.Limits())
    assert run.at_end("culture.Lac") == pytest.approx(60.0, rel=1e-8)
    days = int(cho_culture.hours(run) // 24.0)
    assert run.at_end("culture.V") == pytest.approx(1.0 + 0.04 * days, rel=1e-12)


def test_boluses_without_that_limit_end_with_the_longest_time() -> None:
    run = cho_culture.practised(cho_culture.Schedule(bolus=0.01), cho_culture.Limits(lactate=1e3, longest=48.0))
    assert cho_culture.hours(run) == 48.0


def test_after_the_shift_it_is_cold_and_the_bolus_is_the_later_one() -> None:
    schedule = cho_culture.Schedule(bolus=0.04, shift=2, later=0.01)
    run = cho_culture.practised(schedule, cho_culture.Limits(lactate=1e3, longest=96.0))
    temperature = run["culture.T"]
    assert (temperature.loc[:47.9] == cho_culture.WARM).all()
    assert (temperature.loc[48.1:] == cho_culture.COLD).all()
    assert run.at_end("culture.V") == pytest.approx(1.0 + 0.04 + 2 * 0.01, rel=1e-12)
