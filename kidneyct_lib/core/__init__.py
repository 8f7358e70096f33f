"""What every other sub-package stands on: errors, files, stores, and who does the work."""
