# SPDX-License-Identifier: GPL-2.0-or-later
"""A template that doesn't fit its programs any more. The last test of all: none is baked behind it."""
import os

import programs
from copies import BAKE_LIMIT, Copy, template_file
from harness import check, contains, equal, test


def replace_program(path, content):
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


@test
def a_changed_vmm_bakes_anew():
    """What a template depends on is compared; a run that has to bake says so."""
    if not os.path.exists(template_file("snap")):
        programs.cloche("bake", status=0, limit=BAKE_LIMIT)
    session = Copy("anew")
    before = Copy("before")
    before.begin_from_template()
    origin = before.status()["origin"]["of"]
    before.kill()
    with open(programs.VMM, "rb") as file:
        build = file.read()
    replace_program(programs.VMM, build + b"another build")
    try:
        result = session.start(*session.relay(), timeout=BAKE_LIMIT)
        contains(result.err.decode(), "bak", "what run says")
        equal(session.status()["origin"]["kind"], "restore", "the origin")
        check(session.status()["origin"]["of"] != origin, "it is the old template")
    finally:
        session.kill()
        replace_program(programs.VMM, build)
