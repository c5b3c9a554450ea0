"""How others do the same job: what ferray is compared with."""
