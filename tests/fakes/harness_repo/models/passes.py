"""Every output passes; it has task records and keeps its goldens, as the harness of the field does."""

from golden import arguments, begin, draw, lanes, passed, ran

if __name__ == "__main__":
    given = arguments("--enable-l2-swimlane")
    work = begin("Passes")
    draw(work, save=True)
    ran()
    if given.enable_l2_swimlane:
        lanes(work)
    passed(["kv", "qr"])
