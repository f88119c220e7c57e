"""One leader on an account: who it is, how a standby takes over, and what the others are told.

    HostLease     one machine: a lock of the system's, gone with its process
    FleetLease    several machines: a row in PostgreSQL, its epoch raised in the transaction that takes it
    Leadership    what a run has of it: an epoch, a fence, renewals, and the end of both
    RedisBus      heartbeats and caches; it holds no lease and no record that matters

The arithmetic is `mmbot.execution.lease`.
"""
