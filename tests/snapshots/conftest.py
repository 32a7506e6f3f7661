from snapshot_ground import project

__all__ = ["project"]
