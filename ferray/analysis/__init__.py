"""Reading a ledger: frames, statistics, figures, tables and the report; needs neither Ray nor torch."""
