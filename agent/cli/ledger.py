"""Commands about the station's ledger that need no daemon."""

import argparse
import sys

from agent.config import Config
from host.hjson import load
from host.problems import ConfigErrors
from host.secrets import SecretError, read_secret
from protocols.tlog import NoteError, signer_from_seed


def vkey(line: argparse.Namespace) -> int:
    """Print the verification key the centre must know; the secret key stays where it is."""
    try:
        config = load(line.config, Config, line.lang)
        seed = read_secret(config.ledger.key).decode("ascii", "replace")
        print(signer_from_seed(seed, f"plumeline/{config.station.id}").vkey)
    except (ConfigErrors, SecretError, NoteError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
