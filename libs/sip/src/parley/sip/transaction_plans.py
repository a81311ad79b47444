"""The four machines made ready for one layer, by what decides which of them applies."""

from collections.abc import Mapping
from typing import Any

from parley.sip.client_transaction import ClientTransaction
from parley.sip.server_transaction import ServerTransaction
from parley.sip.transaction_base import EffectFunction, Plan, TransactionContext, make_plan
from parley.sip.transaction_key import Key
from parley.sip.transaction_tables import (
    INVITE_CLIENT_MACHINE,
    INVITE_SERVER_MACHINE,
    NON_INVITE_CLIENT_MACHINE,
    NON_INVITE_SERVER_MACHINE,
    Effect,
    Machine,
)

Plans = dict[tuple[bool, bool], Plan]
"""By (is_invite, is_reliable)."""


def client_plans(context: TransactionContext, registry: dict[Key, Any]) -> Plans:
    """Returns the plans of client transactions that `registry` will hold."""
    machines = (INVITE_CLIENT_MACHINE, NON_INVITE_CLIENT_MACHINE)
    return _plans(machines, ClientTransaction.EFFECTS, context, registry)


def server_plans(context: TransactionContext, registry: dict[Key, Any]) -> Plans:
    """Returns the plans of server transactions that `registry` will hold."""
    machines = (INVITE_SERVER_MACHINE, NON_INVITE_SERVER_MACHINE)
    return _plans(machines, ServerTransaction.EFFECTS, context, registry)


def _plans(
    machines: tuple[Machine, Machine],
    effects: Mapping[Effect, EffectFunction],
    context: TransactionContext,
    registry: dict[Key, Any],
) -> Plans:
    return {
        (is_invite, is_reliable): make_plan(
            machine, effects, context, registry, is_reliable=is_reliable
        )
        for is_invite, machine in zip((True, False), machines, strict=True)
        for is_reliable in (True, False)
    }
