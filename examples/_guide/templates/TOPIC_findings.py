# %% [markdown]
# ## What is read from the runs
#
# A judgement holds when the whole interval is on its side.

# %%
from snippets.keep_findings import keep_findings


def TOPIC_findings(updates):
    """Values, judgements and series.

    updates: {batch size: updates of an epoch}.
    """
    found = keep_findings()
    for size, count in updates.items():
        found.exact(f"updates.{size}", count, "updates")
    smallest, largest = (found[f"updates.{size}"] for size in (32, 256))
    found.judge("small_makes_more_updates", smallest > largest)
    found.line("updates", list(updates), [f"updates.{s}" for s in updates])
    return found.report()
