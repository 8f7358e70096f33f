"""What every other sub-package stands on: errors, files and the cache of computed arrays."""
