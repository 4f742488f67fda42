# ci: devices=2  # needs two cards
"""Takes two devices."""

import os

from golden import arguments, begin, passed, ran, say

if __name__ == "__main__":
    devices = [int(each) for each in arguments().device.split(",")]
    assert len(set(devices)) == 2, f"needs 2 devices, got {devices}"
    assert "ASCEND_RT_VISIBLE_DEVICES" not in os.environ, "the ids are physical, and a second scheme renumbers them"
    begin("TwoCards")
    say(f"devices {devices[0]} and {devices[1]}")
    ran()
    passed()
