"""Scenarios of the study among colleagues and friends."""

from __future__ import annotations

from bench.miniature.scenario import Ending, Scenario
from bench.miniature.words import DAYS, HOURS, NAMES, PRICES

DEADLINE = Scenario(
    name="deadline",
    topic=("the {work} for {client}", "{B}'s late {work}"),
    facts={
        "work": ("report", "budget", "contract", "website", "presentation", "catalog"),
        "client,client_cap": (
            ("the bank", "The bank"),
            ("the museum", "The museum"),
            ("the city", "The city"),
            ("the board", "The board"),
            ("the airline", "The airline"),
        ),
        "day": DAYS,
        "day2": DAYS,
        "name": NAMES,
        "reason,reason3": (
            ("the numbers are missing", "the numbers are missing"),
            ("my computer crashed", "a computer crashed"),
            ("nobody answers my mails", "nobody answers the mails"),
            ("I was ill for two days", "{B} was ill for two days"),
            ("the plans changed again", "the plans changed again"),
        ),
    },
    greet=("[Hi|Good morning], you wanted to see me?", "[Hello|Hi]. What is it?"),
    want=(
        "[Listen,|] I need the {work} for {client}.",
        "[Hi.|] Where is the {work} for {client}?",
        "[Tell me,|] how is the {work} for {client} coming along?",
    ),
    ask=("When do you need it?", "Oh, that one. Until when?"),
    detail=("It is due on {day}.", "The deadline is {day}[, as you know|]."),
    obstacle=(
        "It isn't ready, because {reason}.",
        "I'm not done yet. You see, {reason}.",
        "I won't make it in time, because {reason}.",
    ),
    push=(
        "You had [three weeks|a whole month] for it. What do we do now?",
        "[Again?|] That's bad news. {client_cap} won't be pleased.",
    ),
    endings=(
        Ending(
            ("Could I have until {day2}?", "Give me until {day2}[, please|]."),
            ("[All right|Okay], but not a day longer.", "Fine. I'll tell them it's {day2}."),
            (
                "{A} gives {B} time until {day2}.",
                "They agree on {day2} as the new deadline.",
                "{B} may hand it in on {day2}.",
            ),
        ),
        Ending(
            ("Maybe {name} could help me.", "With {name}'s help I could still do it."),
            ("[Good idea|Okay], I'll ask {name}.", "Then {name} will work with you."),
            (
                "{A} will ask {name} to help.",
                "They decide that {name} will help {B}.",
                "{name} is going to help {B} with it.",
            ),
        ),
        Ending(
            ("I'll work on it all night.", "I could stay in the office tonight."),
            ("No, {name} will take it over.", "It's too late. I'll give it to {name}."),
            ("{A} gives the work to {name}.", "{B} offers to work at night, but {name} will take over."),
        ),
    ),
    summary=(
        "{A} asks for the {work} for {client}, which is due on {day}. {B} is late because {reason3}.",
        "{B} hasn't finished the {work} for {client} since {reason3}.",
        "{A} needs {B}'s {work} by {day}, but it isn't ready because {reason3}.",
    ),
    extra=(("Did they ask about it?", "Yes, twice already."), ("Is it really that urgent?", "Yes, it is.")),
)

EVENING = Scenario(
    name="evening",
    topic=("going to the {event}", "the {event} on {day}"),
    facts={
        "event": ("cinema", "concert", "football match", "theater", "circus", "jazz festival"),
        "day": DAYS,
        "day2": DAYS,
        "hour": HOURS,
        "duty,duty3": (
            ("work late", "work late"),
            ("look after my sister", "look after a sister"),
            ("study for an exam", "study for an exam"),
            ("visit my grandmother", "visit a grandmother"),
            ("pack for a trip", "pack for a trip"),
        ),
        "spot": ("the fountain", "the main gate", "the bridge", "the town hall", "the bus stop"),
        "name": NAMES,
    },
    greet=("[Hi|Hey], [how are you|what's up]?", "[Hello|Hi]! Any plans this week?"),
    want=(
        "[Hey,|] do you want to go to the {event} with me?",
        "[Hi.|] Let's go to the {event} together!",
        "I have two tickets for the {event}. [Are you coming|Will you come]?",
    ),
    ask=("[Sounds nice.|] When is it?", "Maybe. On which day?"),
    detail=("It's on {day}.", "I thought of {day}."),
    obstacle=(
        "I'm sorry, I have to {duty} on {day}.",
        "On {day} I can't. I have to {duty}.",
        "[Oh no,|] that's bad. I must {duty}.",
    ),
    push=(
        "Come on, you never have time for me.",
        "But you promised [to come|it] last week!",
        "Can't you do that another time?",
    ),
    endings=(
        Ending(
            ("[Okay|All right], I could come later. Where do we meet?", "Well, I'll move it. Where shall we meet?"),
            ("Let's meet at {spot} at {hour}.", "At {hour} at {spot}. Don't be late!"),
            (
                "{B} will come, and they meet at {spot} at {hour}.",
                "They agree to meet at {hour} at {spot}.",
                "In the end, they will meet at {spot} at {hour}.",
            ),
        ),
        Ending(
            ("How about {day2}?", "I would have time on {day2}."),
            ("[Good|Great], then we'll go on {day2}.", "{day2} is fine with me."),
            ("They will go on {day2}.", "They agree to go on {day2} instead.", "{B} suggests {day2} and {A} agrees."),
        ),
        Ending(
            ("Why don't you ask {name}?", "Take {name} with you."),
            ("[Fine|Okay], I'll go with {name}.", "Good idea, I'll call {name}."),
            ("{A} will go with {name}.", "{A} decides to ask {name}.", "{B} suggests {name}, and {A} agrees."),
        ),
    ),
    summary=(
        "{A} invites {B} to the {event} on {day}, but {B} has to {duty3}.",
        "{A} wants to go to the {event} with {B}. {B} can't come on {day} because {B} has to {duty3}.",
        "{B} has to {duty3} on {day}, so {B} can't go to the {event} with {A}.",
    ),
    extra=(
        ("Is it expensive?", "No, not at all."),
        ("Who else is coming?", "Only the two of us."),
        ("Will there be a clown?", "Maybe, I hope so."),
    ),
)

LEND = Scenario(
    name="lend",
    topic=("{B}'s {tool}", "the {tool} that {A} needs"),
    facts={
        "tool": ("car", "drill", "tent", "ladder", "bike", "van", "guitar"),
        "use,use3": (
            ("a trip to the lake", "a trip to the lake"),
            ("the garden party", "a garden party"),
            ("my cousin's wedding", "a wedding"),
            ("moving house", "moving house"),
            ("the school play", "a school play"),
        ),
        "day": DAYS,
        "day2": DAYS,
        "price": PRICES,
        "damage": ("broke it", "brought it back dirty", "forgot to bring it back", "lost a part of it"),
    },
    greet=("[Hi|Hello], [come in|nice to see you].", "[Hey|Hi], what brings you here?"),
    want=(
        "[Hi.|] Could you lend me your {tool}?",
        "[Hello.|Listen,|] can I borrow your {tool}?",
        "I need your {tool} for a few days.",
    ),
    ask=("What do you need it for?", "Why? What are your plans?"),
    detail=("It's for {use} on {day}.", "I need it for {use} on {day}."),
    obstacle=(
        "I'm not sure. Last time you {damage}.",
        "You {damage} last time[, remember|].",
        "[No way.|Well,|] the last time you {damage}.",
    ),
    push=(
        "That was [an accident|years ago]. [I'll be careful|It won't happen again].",
        "I said I was sorry! [Nobody else has one|Please trust me].",
    ),
    endings=(
        Ending(
            ("[Okay|All right], but I need it back on {day2}.", "You can have it until {day2}."),
            ("[Thanks|Great], I'll bring it back on {day2}.", "Sure, {day2} it is."),
            (
                "{B} lends it until {day2}.",
                "{A} may have it and will bring it back on {day2}.",
                "They agree that {A} brings it back on {day2}.",
            ),
        ),
        Ending(
            ("Leave me {price} dollars, and you get it.", "Only if you pay me {price} dollars first."),
            ("[Okay|Fine], here is the money.", "That's fair, I'll pay."),
            (
                "{B} lends it for {price} dollars.",
                "{A} pays {price} dollars for it.",
                "{B} asks for {price} dollars and {A} pays.",
            ),
        ),
        Ending(
            ("No, you can't have it this time.", "My answer is no."),
            ("Then I'll rent one for {price} dollars.", "Okay, I'll hire one. It costs {price} dollars."),
            (
                "{B} refuses, so {A} will rent one for {price} dollars.",
                "{A} will hire one for {price} dollars because {B} says no.",
            ),
        ),
    ),
    summary=(
        "{A} wants to borrow {B}'s {tool} for {use3}, but last time {A} {damage}.",
        "{A} asks {B} to lend {A} a {tool} on {day}. {B} is not sure because {A} {damage} last time.",
        "{A} needs {B}'s {tool} for {use3} on {day}. {B} remembers that {A} {damage}.",
    ),
    extra=(("Do you know how to use it?", "Yes, it's foolproof."), ("Will you use it alone?", "Yes, only me.")),
)

FRIENDS = (DEADLINE, EVENING, LEND)
