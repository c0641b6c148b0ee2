"""Collects a request's evidence into a folder that `lethe.verify` can check without this server."""

from pathlib import Path

from lethe.client.api import LetheClient
from service.core.ledger import checkpoint, tiles


def collect(client: LetheClient, request_id: str, out: Path) -> int:
    """Write the folder that `lethe.verify` reads, and return how many entries its log has.

    The checkpoint comes after the proof, so that its tree is never the smaller of the two.
    """
    _write(out / "certificates" / f"{request_id}.dsse.json", client.certificate(request_id))
    _write(out / "proofs" / f"{request_id}.tlog-proof", client.proof(request_id))
    _write(out / "log.vkey", f"{client.log_vkey()}\n".encode())
    head = client.log_checkpoint()
    _write(out / "checkpoint", head)
    size = checkpoint.parse(head).size
    for address in (*tiles.addresses(None, size), *tiles.addresses(0, size)):
        _write(out / address.path, client.log_tile(address.path))
    return size


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
