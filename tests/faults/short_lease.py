"""Preloaded by a worker: other machines' locks count as left after so few seconds."""

import os

from kidneyct_lib.core import shared_lock

shared_lock.LEASE = float(os.environ["LEASE"])
