"""Where work runs: Ray actors, the streaming pipeline and its in-process twin. The only room that imports ray."""
