# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about diagnoses and their table say the same."""

import re

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils.diagnosis import DOCS, SIGNATURES

from tests.package import ROOT

PAGE = (ROOT / DOCS).read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NAMES = list(dict.fromkeys(row.name for row in SIGNATURES))


def anchor(heading):
    """Give the anchor that Markdown renderers make of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_page_has_one_section_for_each_signature_in_the_order_of_the_table():
    assert list(SECTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_how_to_confirm_and_to_repair_it_and_can_be_linked_to(name):
    assert SECTIONS[name].count("- **Confirm**: ") == SECTIONS[name].count("- **Repair**: ") == 1
    assert f"- [{name}](#{anchor(name)})" in PAGE
    for row in SIGNATURES:
        if row.name == name:
            assert row.link == f"{DOCS}#{anchor(name)}"


@pytest.mark.parametrize("name", [name for name in NAMES if "```text" in SECTIONS[name]])
def test_what_a_section_prints_is_what_the_table_says(name):
    output = " ".join(SECTIONS[name].partition("```text")[2].split())
    assert f"{DOCS}#{anchor(name)}" in output
    texts = [re.sub(r"\\{\w+\\}", "\x00", re.escape(row.cause)) for row in SIGNATURES if row.name == name]
    assert any(re.search(text.replace("\x00", r".*").replace(r"\ ", " "), output) for text in texts), output


def test_every_failure_that_is_provoked_has_its_real_output_on_the_page():
    scenario = (ROOT / "molecule/diagnosis/tests/test_1_diagnosis.py").read_text()
    provoked = {anchor(name) for name in NAMES if f'"{anchor(name)}"' in scenario}
    assert provoked
    assert provoked <= {anchor(name) for name, text in SECTIONS.items() if "```text" in text}
