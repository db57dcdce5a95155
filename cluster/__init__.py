"""The room where work runs: Ray actors, the streaming pipeline and its in-process twin. Only this room imports ray."""
