"""A compiled program's fingerprint: equal for equal programs in every process, different for different ones.

PyPTO numbers tensors, operations and functions from counters of its process and hashes those numbers, so its own hashes
depend on what was compiled before. Here every number is replaced by the order of its first appearance, hashes by the
stable name of the function they stand for, and source positions are left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_OPERATION_FIELDS = ("opcode", "op_attr", "tile", "sync_queue", "latency", "in_param_loc", "out_param_loc")
_TENSOR_FIELDS = ("shape", "offset", "validshape", "mem_type", "mem_range", "nodetype")
_RAW_FIELDS = ("datatype", "format", "rawshape", "symbol")
_SYMBOL = re.compile(r"sym_(\d+)_")


def fingerprint(roots: list[dict[str, Any]], leaves: list[dict[str, Any]]) -> str:
    """SHA-256 (hex) over the root functions' calls and the leaf functions' instructions."""
    names = {str(function["hash"]): str(function["rawname"]) for function in [*roots, *leaves]}
    digest = hashlib.sha256()
    for function in sorted([*roots, *leaves], key=lambda each: str(each["rawname"])):
        canonical = _canonical(function, names)
        digest.update(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode())
    return digest.hexdigest()


def _canonical(function: dict[str, Any], names: dict[str, str]) -> list[Any]:
    """The operations of one function, each with the tensors it reads and writes described in full at first sight."""
    tensors = {tensor["magic"]: tensor for tensor in function["tensors"]}
    raws = {raw["rawmagic"]: raw for raw in function["rawtensors"]}
    order: dict[int, int] = {}
    memory: dict[int, int] = {}

    def operand(magic: int) -> list[Any]:
        if magic in order:
            return [order[magic]]
        order[magic] = len(order)
        tensor = tensors[magic]
        raw = raws.get(tensor["rawtensor"], {})
        block = memory.setdefault(tensor["mem_id"], len(memory))
        described = [tensor.get(name) for name in _TENSOR_FIELDS] + [raw.get(name) for name in _RAW_FIELDS]
        return [order[magic], block, *described]

    operations: list[Any] = []
    for operation in function["operations"]:
        reads = [operand(magic) for magic in operation["ioperands"]]
        writes = [operand(magic) for magic in operation["ooperands"]]
        fields = [operation.get(name) for name in _OPERATION_FIELDS]
        label = operation.get("semantic_label", {}).get("label", "")
        callee = names.get(operation.get("calleehash", ""), "")
        operations.append([*fields, label, callee, _attributes(operation, order), reads, writes])
    return [function["rawname"], operations]


def _attributes(operation: dict[str, Any], order: dict[int, int]) -> str:
    """The operation's parameters, without a callee's hash and with tensors' numbers replaced by their order."""
    parameters = operation.get("attr", [])
    text = json.dumps(parameters[1:] if "calleehash" in operation else parameters)
    return _SYMBOL.sub(lambda found: f"sym_{order.get(int(found[1]), 'other')}_", text) if "sym_" in text else text
