"""The guardian: a small process beside a run that cancels everything when the run cannot, and checks what it says.

    engine ──beat every 250 ms──▶ guardian ──asks every 1.5 s──▶ venue
           ◀─────beat─────────────         ──cancels──────────▶

It has its own key, its own link and no strategy: what it decides is `GuardianCore`, a function of events and time. The
engine's side of the wire is `GuardianLink`. See docs/guardian.md.
"""

from mmbot.guardian.core import GuardianCore, GuardianTerms
from mmbot.guardian.link import GuardianLink, LinkTerms

__all__ = ["GuardianCore", "GuardianLink", "GuardianTerms", "LinkTerms"]
