"""The checks of values and of resuming again, in settings of a method beside its defaults."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from arkd.conformance.draws import distributions, sources
from arkd.conformance.method_under_test import Failure, NotApplicable, Subject
from arkd.conformance.oracles import VARIANTS
from arkd.conformance.runs import resumes
from arkd.conformance.values import gradient, state, value

STEPS = 20


def other_settings(subject: Subject) -> str:
    """In settings beside the defaults the loss is the formula's too, and a run resumes.

    Raises:
        Failure: value, gradient or resumption is wrong in one of them, which the message names.
        NotApplicable: no settings are listed for the method.
    """
    listed = VARIANTS.get(subject.name, ())
    if subject.own_oracle or not listed:
        raise NotApplicable("no settings beside the defaults are listed for it")
    notes = []
    for params in listed:
        named = ", ".join(f"{key} = {setting}" for key, setting in params.items())
        method = replace(subject.method, **params)
        other = Subject(subject.name, method, subject.oracle, steps=STEPS)
        try:
            seen = value(other)
            for test in (gradient, state, sources, distributions):
                with suppress(NotApplicable):
                    test(other)
            resumes(other)
        except Failure as failure:
            raise Failure(f"{named}: {failure}") from failure
        notes.append(f"{named} {seen}")
    return "; ".join(notes)


CHECKS = (other_settings,)
