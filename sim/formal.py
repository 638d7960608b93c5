"""Proofs with the SAT solver inside Yosys: statements about every input and every state, not about examples.

A proof is a component with ``Assert`` (and ``Assume``) statements. :func:`prove` shows that the assertions hold for all
inputs, :func:`prove_always` that they hold in every cycle (k-induction), :func:`prove_bounded` that they hold in the
first cycles after power-up. Each either returns or raises :class:`Refuted`; a tool that breaks is a ``HwgenError``.

:class:`StreamRules` wraps any component and states the one rule that a ready/valid output has to obey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, Fragment, Module, Signal, Value
from amaranth.lib import wiring

from hwgen import tools
from hwgen.errors import HwgenError

__all__ = ["Refuted", "StreamRules", "driven", "hold", "prove", "prove_always", "prove_bounded"]


class Refuted(AssertionError):
    """An assertion does not hold, or not within the steps that were allowed."""


def prove(component, folder: Path) -> None:
    """Every ``Assert`` of a component without registers holds for all inputs (that its ``Assume`` statements allow).

    ``folder`` receives the netlist and the log. Raises :class:`Refuted`.
    """
    _solve(component, folder, "")


def prove_always(component, folder: Path, *, steps: int = 20) -> None:
    """Every ``Assert`` holds in every cycle: k-induction with k at most ``steps``, reset never active.

    Induction starts from any state, so it may need assertions about the state itself. Raises :class:`Refuted`.
    """
    _solve(component, folder, f"-tempinduct -maxsteps {steps} -set rst 0")


def prove_bounded(component, folder: Path, *, steps: int) -> None:
    """Every ``Assert`` holds in the first ``steps`` cycles after power-up, for all inputs. Raises :class:`Refuted`.

    Weaker than :func:`prove_always`, for statements whose induction would need the whole datapath's invariant.
    """
    _solve(component, folder, f"-tempinduct-baseonly -maxsteps {steps} -set rst 0")


def _solve(component, folder: Path, options: str) -> None:
    (folder / "proof.il").write_text(rtlil.convert(component, name="proof", platform="formal", emit_src=False))
    log = folder / "proof.log"
    # Flat and without memories, because the solver knows only cells; chformal turns $check into what it looks for.
    # A proof without an assertion left would be a proof of nothing.
    script = (
        "read_rtlil proof.il; hierarchy -top proof; proc; flatten; memory -nordff; async2sync; chformal -lower; "
        "opt -share_all; select -assert-min 1 t:$assert; "
        f"sat -verify -prove-asserts -set-assumes {options}"
    )
    try:
        tools.run("yosys", ["-p", script], cwd=folder, log=log)
    except HwgenError:
        text = log.read_text(encoding="utf-8")
        if "proof did fail" in text:
            raise Refuted(f"an assertion of {type(component).__name__} does not hold; see {log}") from None
        raise


def driven(fragment: Fragment, domain: str = "sync") -> dict[str, Signal]:
    """Signals that an elaborated component drives in ``domain``, by name, in its parts by ``part.name``.

    For invariants about registers, or ("comb") about wires. Elaborate once with ``Fragment.get(component, "formal")``
    and make the fragment a submodule of the proof.
    """
    statements = fragment.statements.get(domain)
    # Amaranth has no public way to ask; the alternative is to make every such register an attribute of its component.
    found = {signal.name: signal for signal in statements._lhs_signals()} if statements else {}
    for part, name, _ in fragment.subfragments:
        found |= {f"{name}.{inner}": signal for inner, signal in driven(part, domain).items()}
    return found


def hold(m: Module, valid, ready, payload, claim: Callable = Assert) -> None:
    """``claim`` that a word which is offered and not taken is offered unchanged in the next cycle."""
    word = Value.cast(payload)
    waits = Signal(name="waits")
    was = Signal(len(word), name="was")
    m.d.sync += [waits.eq(valid & ~ready), was.eq(word)]
    with m.If(waits):
        m.d.comb += [claim(valid), claim(word == was)]


class StreamRules(wiring.Component):
    """States that every output stream of ``dut`` holds a waiting word, given that every input stream does.

    Streams are the members with ``valid``, ``ready`` and ``payload``; ``outputs`` and ``inputs`` name further ones as
    (valid, ready, payload members), for ports that are spelled out (AXI4-Stream). The ports are those of ``dut``.
    """

    def __init__(
        self,
        dut,
        *,
        outputs: Sequence[tuple[str, str, tuple[str, ...]]] = (),
        inputs: Sequence[tuple[str, str, tuple[str, ...]]] = (),
    ):
        self._dut = dut
        self._named = [(Assert, *names) for names in outputs] + [(Assume, *names) for names in inputs]
        super().__init__(dut.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self._dut
        wiring.connect(m, wiring.flipped(self), self._dut)
        for name, member in self.signature.members.items():
            stream = getattr(self, name)
            if member.is_signature and {"valid", "ready", "payload"} <= set(member.signature.members):
                claim = Assert if member.flow == wiring.Out else Assume
                hold(m, stream.valid, stream.ready, stream.payload, claim)
        for claim, valid, ready, payload in self._named:
            words = [Value.cast(getattr(self, name)) for name in payload]
            hold(m, getattr(self, valid), getattr(self, ready), Cat(words), claim)
        return m
