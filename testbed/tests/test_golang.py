# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from testbed import golang
from testbed.golang import Program, kubernetes_ldflags, wrapper
from testbed.steps import Problem


def test_a_plain_module_is_only_required() -> None:
    program = Program("kind", "sigs.k8s.io/kind", "v0.33.0", {"kind": ""})
    text = wrapper(program, {"Go": "1.24.0", "Require": [{"Path": "a/b", "Version": "v1.0.0"}], "Godebug": None})
    assert text == "module orbit.rs/build\ngo 1.24.0\nrequire sigs.k8s.io/kind v0.33.0\n"


def test_the_libraries_of_kubernetes_get_the_version_that_goes_with_it() -> None:
    program = Program("kubernetes", "k8s.io/kubernetes", "v1.37.2", {"kubelet": "cmd/kubelet"})
    required = [
        {"Path": "k8s.io/klog/v2", "Version": "v2.130.1"},
        {"Path": "k8s.io/client-go", "Version": "v0.0.0"},
        {"Path": "k8s.io/api", "Version": "v0.0.0"},
    ]
    text = wrapper(program, {"Go": "1.26.0", "Godebug": [{"Key": "default", "Value": "go1.26"}], "Require": required})
    assert text.splitlines() == [
        "module orbit.rs/build",
        "go 1.26.0",
        "godebug default=go1.26",
        "require k8s.io/kubernetes v1.37.2",
        "replace k8s.io/api => k8s.io/api v0.37.2",
        "replace k8s.io/client-go => k8s.io/client-go v0.37.2",
    ]


def test_the_version_of_kubernetes_is_linked_into_both_packages() -> None:
    flags = kubernetes_ldflags("v1.37.2").split(" ")
    assert flags.count("-X") == 12
    assert "k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "k8s.io/client-go/pkg/version.gitMinor=37" in flags


def test_a_machine_without_go_is_told_so(private_cache: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Problem) as caught:
        golang.source("example.org/module", "v1.0.0")
    assert "install Go" in caught.value.remedy
