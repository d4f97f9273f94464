# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of this scenario has other names, and an inventory of its own."""

import dataclasses

import pytest


@pytest.fixture(scope="module")
def everything(deployed):
    """Give the release of the scenario."""
    return dataclasses.replace(
        deployed,
        namespace="molecule-deploy-all",
        release="everything",
        name="db",
        inventory="molecule/deploy_all/inventory",
    )
