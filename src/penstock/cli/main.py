"""`penstock VERB`: finds the verb, runs it, and turns every foreseeable fault into a sentence.

Only the standard library is imported before a verb runs.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from penstock.cli.outcome import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_OK, Fault
from penstock.cli.verbs import build_parser, module_of
from penstock.client.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; arguments are those of the process unless given."""
    options = build_parser().parse_args(arguments)
    try:
        verb = importlib.import_module(module_of(options.verb))
        code = verb.run(options)
        sys.stdout.flush()
    except Fault as fault:
        for line in (str(fault), *(f"  {detail}" for detail in fault.details)):
            sys.stderr.write(f"{line}\n")
        return fault.exit_code
    except ClientError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAULT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `penstock read --all | head`: the reader has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        place = error.filename or f"`penstock {options.verb}`"
        sys.stderr.write(f"{place}: {error.strerror or error}. Mend this and try again.\n")
        return EXIT_FAULT
    assert isinstance(code, int)
    return code


if __name__ == "__main__":
    sys.exit(main())
