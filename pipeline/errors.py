"""Every error that this project raises on purpose, and who is to blame.

* MgptError
  + RecipeError        the person who wrote the recipe, before any work starts         exit code 2
  + SampleError        one sample: counted, written to the ledger, left out
  + ShardError         one unit or one file: truncated, unreadable, foreign            exit code 3 when a run is left incomplete by it
  + PlanError          the cluster cannot hold the plan                                exit code 4
  + ResumeError        the output holds another run's data                             exit code 5
  + VerificationError  stored data is not what it claims to be                         exit code 6
"""


class MgptError(Exception):
    """Base class of every error that this project raises on purpose."""


class RecipeError(MgptError):
    """The recipe or the command line is wrong. Raised before any work starts."""


class SampleError(MgptError):
    """One sample cannot be used. Only a runner catches it.

    Args:
        key: The sample's key.
        reason: In snake_case: it becomes a counter's name.
        message: What was found, for the person who reads the ledger.
    """

    def __init__(self, key: str, reason: str, message: str = ""):
        super().__init__(key, reason, message)  # all of them, so that the error survives pickling between processes
        self.key = key
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" + (f" ({self.message})" if self.message else "")


class ShardError(MgptError):
    """One unit or one shard file cannot be read or written."""


class PlanError(MgptError):
    """The cluster cannot give every stage a slot."""


class ResumeError(MgptError):
    """The output belongs to another recipe or another input. The message names the key that differs."""


class VerificationError(MgptError):
    """Stored data is not what it claims to be. The message names the file or the key."""
