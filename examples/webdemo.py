# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the demonstrations with the web server share."""
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MOLT = os.environ.get("MOLT", os.path.join(HERE, "..", "build", "molt"))


def say(text):
    print(text, flush=True)


def check(what, good):
    if not good:
        sys.exit(f"demo: this should not have happened: {what}")


def build(version, folder):
    """An ordinary build; nothing in it knows of molt."""
    out = os.path.join(folder, version)
    os.mkdir(out)
    subprocess.run(["gcc", "-g", "-O2", "-D_GNU_SOURCE", "webserver.c", "-o", os.path.join(out, "webserver")],
                   cwd=os.path.join(HERE, "webserver", version), check=True)
    return os.path.join(out, "webserver")


def get(client, path):
    client.putrequest("GET", path, skip_host=True)
    client.endheaders()
    r = client.getresponse()
    body = r.read().decode().strip()
    say(f"        GET {path:<14} -> {r.status} {r.reason}: {body}")
    return r.status, body


def start(program, site):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([program, str(port), site], stdout=subprocess.PIPE, text=True)
    check("the server does not start", "serves" in server.stdout.readline())
    return server, port


def site_in(folder):
    site = os.path.join(folder, "site")
    os.mkdir(site)
    for name, text in (("site/index.html", "Welcome."), ("secret", "The key is under the mat.")):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text + "\n")
    return site, build("v1", folder), build("v2", folder)
