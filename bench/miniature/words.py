"""Words that several generators share: days, hours, prices, and insults by strength."""

from __future__ import annotations

from dataclasses import dataclass

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = (
    "noon",
    "two o'clock",
    "three o'clock",
    "four o'clock",
    "five thirty",
    "six thirty",
    "seven o'clock",
    "eight o'clock",
    "nine thirty",
)
PRICES = ("20", "25", "30", "40", "45", "50", "60", "75", "80", "90")
RENTS = ("600", "650", "700", "720", "800", "850", "900", "950")
NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry", "Julia", "Mark", "Nina", "Oliver")


@dataclass(frozen=True)
class Insult:
    """Rude words for one person, never for a group of people.

    `bare` follows 'You' ('You idiot!'), `full` follows 'calls you' ('an idiot', 'stupid').
    """

    bare: str
    full: str
    strong: bool

    @property
    def is_adjective(self) -> bool:
        """'You stupid!' is not English: an adjective needs 'You are'."""
        return self.bare == self.full and not self.full.endswith("scum")


# Those of the study. Strong ones are mostly quoted by a reference, mild ones mostly reported politely.
STRONG = tuple(
    Insult(bare, full, True)
    for bare, full in (
        ("idiot", "an idiot"),
        ("moron", "a moron"),
        ("pathetic loser", "a pathetic loser"),
        ("useless clown", "a useless clown"),
        ("lazy fool", "a lazy fool"),
        ("worthless liar", "a worthless liar"),
        ("brainless pig", "a brainless pig"),
        ("scum", "scum"),
        ("stupid donkey", "a stupid donkey"),
        ("rotten crook", "a rotten crook"),
    )
)
MILD = tuple(
    Insult(bare, full, False)
    for bare, full in (
        ("stupid", "stupid"),
        ("lazy", "lazy"),
        ("slow coach", "a slow coach"),
        ("dumb", "dumb"),
        ("clumsy oaf", "a clumsy oaf"),
        ("big baby", "a big baby"),
    )
)

# Each classifier also meets insults that the study does not use, so that neither merely knows the study's list.
REWARD_ONLY = ("an imbecile", "a filthy rat", "a miserable coward", "a dirty cheat", "a dimwit")
JUDGE_ONLY = ("a nitwit", "a greedy weasel", "a blockhead", "a disgusting slob", "a cowardly worm")
