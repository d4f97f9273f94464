#!/usr/bin/python
# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install add-ons of the cluster that are not there yet. The action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: addons
short_description: Install add-ons of the cluster that are not there yet
version_added: 0.1.0
description:
  - An add-on that is there is kept as it is, whoever has installed it and in whatever version.
  - Any other is installed with Helm into a namespace of its own, and waited for until it is ready.
  - They are taken one after the other, since one can bring another one along.
author:
  - the orbit.rs authors (@orbit-rs)
options:
  addons:
    description: The add-ons. For those that are known, everything but the name has a default.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the add-on, and of its Helm release.
          - Known are C(metrics-server), C(kube-prometheus-stack), C(cert-manager) and C(grafana).
        type: str
        required: true
      chart:
        description:
          - Chart, a name in O(addons[].repository), an OCI reference, a folder or an archive.
          - It replaces version and repository as well.
        type: str
        default: ""
      repository:
        description: URL of the chart repository. Empty when the chart says all.
        type: str
        default: ""
      version:
        description: Version of the chart.
        type: str
        default: ""
      namespace:
        description: Namespace to install it into. Empty means its name.
        type: str
        default: ""
      values:
        description: Values of the chart. They replace the default ones.
        type: dict
        default: {}
      api_groups:
        description: API groups that show that it is there, and that must be served when it is ready.
        type: list
        elements: str
        default: []
      app:
        description:
          - Value of the label C(app.kubernetes.io/name) or C(k8s-app) of a Deployment that shows that it is there.
        type: str
        default: ""
  timeout:
    description: Seconds until an add-on that does not get ready is given up.
    type: int
    default: 300
  kubeconfig:
    description: Kubeconfig file. Empty means what kubectl itself would use, E(KUBECONFIG) first.
    type: path
    default: ""
  context:
    description: Context in the kubeconfig. Empty means its current context.
    type: str
    default: ""
  kubectl:
    description: The kubectl command.
    type: path
    default: kubectl
  helm:
    description: The helm command.
    type: path
    default: helm
requirements:
  - the collection kubernetes.core
attributes:
  check_mode:
    description: Whether it predicts changes without making any.
    support: full
    details: Says what it would install, and whether the chart can be had.
  diff_mode:
    description: Whether it shows what changes.
    support: full
    details: Names chart, version and namespace.
notes:
  - Runs on the control host, whatever the connection of the inventory host is.
"""

EXAMPLES = r"""
- name: See that there are metrics and certificates
  orbit.rs.addons:
    addons:
      - name: metrics-server
      - name: cert-manager
        values:
          crds: {enabled: true}
          replicaCount: 2
"""

RETURN = r"""
addons:
  description: What came of each add-on.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: metrics-server, state: kept, detail: API group metrics.k8s.io}
"""
