"""How do components reach the packing? Lumped rate, with pores, or the general rate model: parts for `transport`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Parameter, Port
from titer.flowsheets.symbols.vectors import times
from titer.flowsheets.unit import Part
from titer.flowsheets.units.columns.beads import BeadSizes
from titer.flowsheets.units.columns.contact import Known, Vectors
from titer.flowsheets.units.jackets import expressed


class Transport(Part):
    """What all transport models share: axial dispersion in the liquid that flows."""

    pores = 0  # points of a bead
    beads = BeadSizes()
    porosities: ClassVar[tuple[str, ...]] = ()  # parameters that are shares of a volume

    def derived(self) -> Mapping[str, Declaration | Port]:
        return {"D_ax": Parameter("m^2/s", 1e-7, lower=0.0, doc="axial dispersion")}

    def dispersed(self, w: Any, v: Any) -> Any:
        """Axial dispersion [m^2/s] at a superficial velocity."""
        return w.D_ax

    def porosity(self, w: Any) -> Any:
        """The volume of flowing liquid, by that of the column."""
        raise NotImplementedError

    def solids(self, w: Any) -> Any:
        """F, the volume of solid by that of the liquid it is in contact with."""
        raise NotImplementedError

    def split(self, v: Any, bulk: Vectors, arriving: Vectors, known: Known, column: Any) -> tuple[Any, Any, Any]:
        """Rates of the bulk where it is a liquid of its own, of totals in contact with the solid, and of the solid.

        `bulk`: concentrations that flow, and `arriving` their rates by flow and dispersion; `known`: concentrations in
        contact, of liquid and solid. Vectors by component.
        """
        raise NotImplementedError

    def amount(self, w: Any, bulk: Vectors, totals: Mapping[str, Any], column: Any) -> dict[str, Any]:
        """What the column holds, by its volume."""
        raise NotImplementedError


class LumpedRate(Transport):
    """The lumped rate model without pores (equilibrium- or transport-dispersive): one porosity, no film.

    Equations: c_t + F q_t = -u c_z + D_ax c_zz, F = (1 - eps_t)/eps_t, u = flow/(A eps_t). Symbols: eps_t total
    porosity; D_ax axial dispersion [m^2/s]; u velocity of the liquid. Source: Guiochon et al. (2006).
    """

    porosities = ("eps_t",)

    eps_t = Parameter("1", 0.8, lower=1e-6, upper=1.0 - 1e-6, doc="total porosity")

    def porosity(self, w: Any) -> Any:
        return w.eps_t

    def solids(self, w: Any) -> Any:
        return (1.0 - w.eps_t) / w.eps_t

    def split(self, v: Any, bulk: Vectors, arriving: Vectors, known: Known, column: Any) -> tuple[Any, Any, Any]:
        return {}, dict(arriving), {}

    def amount(self, w: Any, bulk: Vectors, totals: Mapping[str, Any], column: Any) -> dict[str, Any]:
        return {key: w.eps_t * times(column.packing.mean, x) for key, x in totals.items()}


class LumpedRateWithPores(Transport):
    """The lumped rate model with pores: a film around beads whose pores are well mixed.

    Equations
        c_t = -u c_z + D_ax c_zz - (1 - eps_c)/eps_c (3/r_p) k_f (c - c_p),  u = flow/(A eps_c)
        c_p,t + F q_t = 3/(eps_p r_p) k_f (c - c_p),  F = (1 - eps_p)/eps_p
    Symbols: c in the bulk, c_p in the pores; eps_c, eps_p porosities of column and bead; r_p radius of a bead; k_f film
    coefficient [m/s]; D_ax axial dispersion [m^2/s]. Both may follow the flow instead: `dispersion=ChungWen()`,
    `film=WilsonGeankoplis()`. Source: Guiochon et al. (2006).
    """

    dispersion: Part | None = None
    film: Part | None = None

    eps_c = Parameter("1", 0.37, lower=1e-6, upper=1.0 - 1e-6, doc="porosity of the column")
    eps_p = Parameter("1", 0.75, lower=1e-6, upper=1.0 - 1e-6, doc="porosity of a bead")
    r_p = Parameter("um", 45.0, lower=1e-3, doc="radius of a bead")

    pores = 1
    porosities = ("eps_c", "eps_p")

    def derived(self) -> Mapping[str, Declaration | Port]:
        found = dict(super().derived()) if self.dispersion is None else {}
        if self.film is None:
            found["k_f"] = Parameter("m/s", 7e-6, lower=0.0, over="components", doc="film coefficients")
        return found

    def dispersed(self, w: Any, v: Any) -> Any:
        if self.dispersion is None:
            return w.D_ax
        return self.dispersion.coefficient(w.dispersion, v, w.r_p, w.eps_c)  # type: ignore[attr-defined]

    def through_film(self, w: Any, i: int, v: Any) -> Any:
        """The film coefficient [m/s] of component i at a superficial velocity."""
        if self.film is None:
            return w.k_f[i]
        return self.film.coefficient(w.film, i, v, w.r_p, w.eps_c)  # type: ignore[attr-defined]

    def porosity(self, w: Any) -> Any:
        return w.eps_c

    def solids(self, w: Any) -> Any:
        return (1.0 - w.eps_p) / w.eps_p

    def split(self, v: Any, bulk: Vectors, arriving: Vectors, known: Known, column: Any) -> tuple[Any, Any, Any]:
        w, c = v.transport, known.c
        per, places = f"1/{column.time}", column.packing
        outside, totals, velocity = {}, {}, column.velocity(v)
        for i, key in enumerate(column.components):
            k_f = self.through_film(w, i, velocity)
            gap = times(places.bulk, bulk[key]) - times(places.surface, c[key])
            film = expressed(3.0 * k_f / w.r_p, per) * gap
            outside[key] = arriving[key] - (1.0 - w.eps_c) / w.eps_c * times(places.gathered, film)
            totals[key] = self.inside(w, i, c[key], times(places.film, film / w.eps_p), column)
        moved = self.on_solid(w, known.q, column)
        for key, x in column.binding.held(v.binding, moved, whole=False).items() if moved else ():
            totals[key] = totals[key] + self.solids(w) * x
        return outside, totals, moved

    def inside(self, w: Any, i: int, c: Any, arriving: Any, column: Any) -> Any:
        """Rates in the pores of what arrives through the film; they are well mixed."""
        return arriving

    def on_solid(self, w: Any, q: Vectors, column: Any) -> dict[str, Any]:
        """Rates by diffusion along the surface of the solid."""
        return {}

    def amount(self, w: Any, bulk: Vectors, totals: Mapping[str, Any], column: Any) -> dict[str, Any]:
        beads = (1.0 - w.eps_c) * w.eps_p
        return {
            key: w.eps_c * times(column.packing.mean, bulk[key]) + beads * times(column.packing.mean_of_points, x)
            for key, x in totals.items()
        }


class GeneralRate(LumpedRateWithPores):
    """The general rate model: a film, and diffusion into the pores of beads (and along their solid).

    Equations
        c_t = -u c_z + D_ax c_zz - (1 - eps_c)/eps_c (3/r_p) k_f (c - c_p(r_p)),  u = flow/(A eps_c)
        c_p,t + F q_t = D_p (c_p,rr + 2/r c_p,r) + F D_s (q_rr + 2/r q_r),  F = (1 - eps_p)/eps_p
        at the surface k_f (c - c_p) = eps_p D_p c_p,r + (1 - eps_p) D_s q_r, at the centre no gradient
    Symbols: D_p pore diffusivities, D_s those along the solid where `on_surface` [m^2/s]; others as in
    LumpedRateWithPores. `shells`: points of a bead, its surface among them, of even polynomials in the radius. `sizes`:
    of beads, where they are not alike: BeadSizes.lognormal(0.25); r_p is the median then, and k_f that of all of them.
    Source: Guiochon et al. (2006); Gu, Mathematical Modeling and Scale-up of Liquid Chromatography (1995).
    """

    shells: int = 4
    on_surface: bool = False
    sizes: BeadSizes = BeadSizes()

    D_p = Parameter("m^2/s", 6e-11, lower=0.0, over="components", doc="pore diffusivities")

    def derived(self) -> Mapping[str, Declaration | Port]:
        found = dict(super().derived())
        if self.on_surface:
            found["D_s"] = Parameter("m^2/s", 0.0, lower=0.0, over="bound", doc="surface diffusivities")
        return found

    @property
    def pores(self) -> int:  # type: ignore[override]
        return self.shells

    @property
    def beads(self) -> BeadSizes:  # type: ignore[override]
        return self.sizes

    def inside(self, w: Any, i: int, c: Any, arriving: Any, column: Any) -> Any:
        return arriving + expressed(w.D_p[i] / w.r_p**2, f"1/{column.time}") * times(column.packing.within, c)

    def on_solid(self, w: Any, q: Vectors, column: Any) -> dict[str, Any]:
        if not self.on_surface:
            return {}
        per = f"1/{column.time}"
        return {
            key: expressed(w.D_s[i] / w.r_p**2, per) * times(column.packing.within, x)
            for i, (key, x) in enumerate(q.items())
        }
