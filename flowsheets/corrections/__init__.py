"""What did data teach, and how does it stand in the equations? Learned corrections of named expressions.

gp = make_pipeline(StandardScaler(), GaussianProcessRegressor(...)).fit(X, log_factor)
model = titer.estimation.regressors.lowered(gp)          the regressor as an expression, equal to predict
term = LearnedTerm(reactor.r_1, [reactor.T, reactor.c_A], model, Multiplicative(0.3, 3.0), Domain.of_data(X))
correction = Correction(term, about={"made": "2026-03-01", "batches": 6})
better = plant.corrected(correction)                     an ordinary plant: simulate, estimate, optimize, to_pyomo

better.unit("reactor").correction.r_1                    coefficients: parameters, to read, change and estimate
better.with_values(again.values)                         learned again in the same shape: nothing is traced anew
subject_to=[*correction.within()]                        keeps a plan where the data are
correction.along(run.frame()), correction.describe()     where it acts, how large, how sure
correction.save(folder), Correction.load(folder)         a card to read, and numbers; no code

A correction acts on a rate inside the equations, so that balances close; beyond its domain it fades to the mechanistic
model.
"""
