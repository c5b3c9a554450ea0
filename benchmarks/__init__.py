"""How fast ferray is: each figure beside a peer that was measured in the same run, in turns with it."""
