# --8<-- [start:shard_global_batch]
def shard_global_batch(global_batch_size, num_devices, max_micro_batch_size):
    """Who computes which examples of a batch, so that all get a fair share.

    global_batch_size: examples per update, over all devices.
    num_devices: devices, or processes, that share the work.
    max_micro_batch_size: the most examples that one forward pass on one
        device may take, such as the largest that fits into its memory.
    Returns a dict: device_batch_size, the most examples of one device in an
    update; accumulation_steps, forward passes of each device in an update;
    micro_batch_size, the most examples of one forward pass; ranges, where
    ranges[device][step] is a pair (start, stop) into the global batch. Each
    example lies in one range, and shares differ by one example at most.
    Where they differ, a mean of the devices' means is not the mean of the
    batch: weight each range by (stop - start) / global_batch_size.
    Raises ValueError for a number that is not a whole one above 0, and where
    some device would have no example in some step.
    """
    numbers = {
        "global_batch_size": global_batch_size,
        "num_devices": num_devices,
        "max_micro_batch_size": max_micro_batch_size,
    }
    for name, number in numbers.items():
        if number != int(number) or number < 1:
            raise ValueError(
                f"{name} is {number}; give a whole number of at least 1"
            )
    size, devices, largest = (int(number) for number in numbers.values())
    if size < devices:
        raise ValueError(
            f"global_batch_size={size} leaves some of num_devices={devices} "
            f"without an example; give at least {devices} examples"
        )

    def split(start, stop, parts):
        """Ranges that follow each other, the longer ones first."""
        short, longer = divmod(stop - start, parts)
        ends = [start]
        for part in range(parts):
            ends.append(ends[-1] + short + (part < longer))
        return list(zip(ends, ends[1:]))

    shares = split(0, size, devices)
    most, fewest = (stop - start for start, stop in (shares[0], shares[-1]))
    # Rounded up; all devices need as many steps, since they wait for each
    # other at the end of an update.
    steps = -(-most // largest)
    if fewest < steps:
        raise ValueError(
            f"global_batch_size={size} on num_devices={devices} takes {steps} "
            f"forward passes of max_micro_batch_size={largest}, but a device "
            f"has {fewest} examples; give a multiple of {devices}"
        )
    return {
        "device_batch_size": most,
        "accumulation_steps": steps,
        "micro_batch_size": -(-most // steps),
        "ranges": [split(start, stop, steps) for start, stop in shares],
    }


# --8<-- [end:shard_global_batch]
