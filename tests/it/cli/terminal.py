"""Runs a command on a terminal of its own, as a person would: waits for texts and types answers.

Arguments: a JSON object with `columns`, `rows`, `steps` ([text to wait for, what to type then], ...), and the command.
Prints a JSON object with the command's exit `code` and all its `output`. Nothing is timed; only a text that never comes
is given up in the end.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

PATIENCE = 60.0


def main():
    plan = json.loads(sys.argv[1])
    pid, terminal = pty.fork()
    if pid == 0:
        # The parent sets the size before it lets the command begin.
        os.read(0, 1)
        os.execv(sys.argv[2], sys.argv[2:])
    size = struct.pack("HHHH", plan["rows"], plan["columns"], 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    os.write(terminal, b"\n")
    output, seen = "", 0
    steps = plan["steps"]
    while True:
        while steps and steps[0][0] in output[seen:]:
            text, typed = steps.pop(0)
            seen = output.index(text, seen) + len(text)
            os.write(terminal, typed.encode())
        if not select.select([terminal], [], [], PATIENCE)[0]:
            sys.exit("nothing came, still waiting for %r in %r" % (steps, output))
        try:
            portion = os.read(terminal, 65536)
        except OSError:
            break  # the command has ended
        if not portion:
            break
        output += portion.decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    if steps:
        sys.exit("ended, still waiting for %r in %r" % (steps, output))
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "output": output}))


main()
