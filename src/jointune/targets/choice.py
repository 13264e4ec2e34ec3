"""The targets by name, and the one that settings ask for."""

from collections.abc import Mapping
from typing import Any

from jointune.errors import SettingsError, setting
from jointune.targets.numbers import Number
from jointune.targets.ordered_labels import OrderedLabels
from jointune.targets.several_labels import SeveralLabels
from jointune.targets.single_label import SingleLabel
from jointune.targets.target import Target

TARGETS: dict[str, type[Target]] = {kind.name: kind for kind in (SingleLabel, SeveralLabels, OrderedLabels, Number)}

OWN_SETTINGS = tuple(dict.fromkeys(name for kind in TARGETS.values() for name in kind.own_settings))


def chosen_target(settings: Mapping[str, Any]) -> Target:
    """Return the target that settings ask for, before its labels are known; one label a post by default.

    Raises:
        SettingsError: there is no such target, a setting is of another one, or its value is none.
    """
    name = settings.get("target", SingleLabel.name)
    if name not in TARGETS:
        raise SettingsError(f"{setting('target', name)}: choose one of {', '.join(TARGETS)}", setting="target")
    kind = TARGETS[name]
    for other in (*OWN_SETTINGS, *kind.refused_settings):
        value = settings.get(other)
        if value and value != "auto" and other not in kind.own_settings:
            raise SettingsError(
                f"{setting(other, value)}: it means nothing to {setting('target', name)}", "leave it out", setting=other
            )
    kind.check_metric(settings.get("metric"))
    return kind((), settings)
