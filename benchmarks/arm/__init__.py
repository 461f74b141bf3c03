"""ARM without a board: device tests, instruction counts and latency estimates on emulated CPUs.
Not part of the wheel; nothing else imports them.
"""
