"""Transaction log -> PyMC model -> posterior: what a real log says about purchase, churn and spend.

Read a log with `agents.calibration.sources.load_log`, fit it with `agents.calibration.fit.fit`,
keep the result with `agents.calibration.posterior.Posterior.save`, and compare observed with
simulated behaviour with `agents.calibration.check`.
"""
