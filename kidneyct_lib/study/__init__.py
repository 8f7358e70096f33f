"""What a run is: its parameters, folder and provenance; how it is executed and compared."""
