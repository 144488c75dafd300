"""This kernel's settings about port numbers, as ip-sysctl and ip(7) name them.

Needs: Linux
Varies: ip_local_port_range         {int>=1} {int>=1}
Varies: ip_unprivileged_port_start  {int}
"""

import sys
from pathlib import Path

SETTINGS = {
    "ip_local_port_range": "from which it draws the ports of clients",
    "ip_local_reserved_ports": "never drawn, but free for bind()",
    "ip_unprivileged_port_start": "the first port that every user may bind",
}


def main() -> None:
    """Print each setting with its value."""
    for name, told in SETTINGS.items():
        text = Path("/proc/sys/net/ipv4", name).read_text()
        print(f"{name:<26}  {' '.join(text.split()) or 'none':<12}  {told}")


if sys.platform == "linux":
    main()
else:
    print("The settings shown are Linux's: nothing to print here.")
