"""Running a study: the plan minus the ledger, as trials of Ray Tune, and what a terminal shows of it."""
