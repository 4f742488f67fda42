"""Never ends, nor does the process it has started."""

import subprocess
import sys

from golden import arguments, begin, say, sleep_for_ever

if __name__ == "__main__":
    arguments()
    begin("Hangs")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(86400)"])
    say("[RUN] runtime ...")
    sleep_for_ever()
