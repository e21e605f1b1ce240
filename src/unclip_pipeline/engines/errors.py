"""What can go wrong with a shard, the same on every engine."""


class ShardError(RuntimeError):
    """A shard could not be worked on: its function raised, or it lost its worker too often."""


def lost_too_often(shard: object, attempts: int) -> ShardError:
    """Say that a shard keeps killing its worker."""
    return ShardError(
        f"a shard may lose its worker {attempts} times, this one did: {shard!r:.200}; the usual cause is "
        "memory (look for the kernel's out-of-memory message): make shards smaller or raise the limit, then "
        "run again, finished shards are kept"
    )
