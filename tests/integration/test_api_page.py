"""docs/API.md keeps its word: every proof that it names is a test, every public call is on it."""

import re

from programs import ROOT

PAGE = (ROOT / "docs/API.md").read_text()


def test_every_proof_on_the_api_page_is_a_test():
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)\(", sources, re.M))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - tests == set()
    assert len(named) > 40


def test_every_call_of_the_manual_is_on_the_api_page_or_belongs_to_one_that_is():
    manual = (ROOT / "libscoop/include/scoop.h").read_text()
    calls = set(re.findall(r"\b(scoop_\w+)\(", manual))
    # What macros use, forms of a call that is there, and what needs no peer to compare with.
    inner = re.compile(r".*_(with|on|copy|free|_)$|scoop_(register|report|strerror|last_error|version"
                       r"|builtin|callback|write|extend|fail|function_|argument_|invoke_|result_).*")
    missing = {call for call in calls if not inner.fullmatch(call) and f"`{call}" not in PAGE}
    assert missing == set()
