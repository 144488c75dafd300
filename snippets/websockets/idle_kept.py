"""The same silence behind the same nginx, with a ping every 0.3 seconds.

Needs: Linux, nginx, idle_cut.py, through_nginx.py, pip install websockets
"""

import asyncio
import sys

from idle_cut import main
from through_nginx import PROGRAM

if sys.platform != "linux" or PROGRAM is None:
    print("This program needs Linux and nginx.")
else:
    asyncio.run(main(ping_interval=0.3))
