"""Scenarios of the study at a landlord's, a doctor's and a lost property office."""

from __future__ import annotations

from bench.miniature.scenario import Ending, Scenario
from bench.miniature.words import DAYS, HOURS, NAMES, PRICES, RENTS

FLAT = Scenario(
    name="flat",
    topic=("the flat near the {place}", "the rent of a flat"),
    facts={
        "place": ("station", "park", "river", "market", "hospital", "university"),
        "rooms": ("two", "three", "four"),
        "price": RENTS,
        "price2": RENTS,
        "month": ("March", "April", "May", "June", "August", "October"),
        "flaw": ("the kitchen is old", "the street is noisy", "there is no lift", "the bathroom is tiny"),
    },
    greet=("[Hello|Good morning]. Are you here about the flat?", "[Hello|Hi], I'm the owner. Did you find the way?"),
    want=(
        "[Hello.|] I'd like to rent the flat near the {place}.",
        "I'm interested in your flat near the {place}. [Is it still free?|]",
    ),
    ask=("It has {rooms} rooms. When do you want to move in?", "There are {rooms} rooms. From when do you need it?"),
    detail=("I need it from {month}.", "I want to move in in {month}."),
    obstacle=(
        "The rent is {price} dollars a month, and I can't go lower.",
        "It costs {price} dollars a month[. That is my final price|].",
        "I want {price} dollars a month for it.",
    ),
    push=("That's [too much|a lot], because {flaw}.", "But {flaw}! I can't pay that much."),
    endings=(
        Ending(
            ("[All right|Well], I could take {price2} dollars.", "Let's say {price2} dollars[, then|]."),
            ("[Good|Deal]. I'll sign for {price2} dollars.", "That's fair. I'll take it."),
            (
                "They agree on {price2} dollars.",
                "{A} takes it for {price2} dollars.",
                "In the end, {B} lets it for {price2} dollars.",
            ),
        ),
        Ending(
            ("I could paint it for you before {month}.", "The price stays, but I'll paint the walls for free."),
            ("[Okay|All right], then I'll take it.", "If you paint it, I'll take it."),
            ("{A} takes it because {B} will paint it.", "{B} promises to paint it and {A} accepts the rent."),
        ),
        Ending(
            ("Other people would pay that at once.", "Then I'll give it to someone else."),
            ("I have to think about it.", "I'll think it over and call you tomorrow."),
            (
                "{B} won't lower the rent and {A} will think about it.",
                "{A} wants to think about it, as {B} has other offers.",
            ),
        ),
    ),
    summary=(
        "{A} wants to rent a flat near the {place} from {month}. {B} asks for {price} dollars, but {flaw}.",
        "{A} looks at {B}'s flat near the {place} and finds {price} dollars too much because {flaw}.",
        "{B} wants {price} dollars a month for a flat near the {place}. {A} complains that {flaw}.",
    ),
    extra=(("Do you have any pets?", "No, only plants."), ("Do you smoke?", "No, never.")),
)

DOCTOR = Scenario(
    name="doctor",
    topic=("{A}'s {part}", "the pain in {A}'s {part}"),
    facts={
        "part": ("back", "knee", "shoulder", "neck", "left foot", "stomach", "right hand"),
        "day": DAYS,
        "day2": DAYS,
        "cause": (
            "moving furniture",
            "playing tennis",
            "a long flight",
            "working in the garden",
            "falling off a bike",
            "sleeping on the sofa",
        ),
        "hour": HOURS,
    },
    greet=("[Good morning|Come in]. What brings you here?", "[Hello|Good afternoon]. What's the matter?"),
    want=(
        "[Doctor,|Good morning.|] My {part} hurts. [Can you give me something for it|I need something for the pain].",
        "I have a terrible pain in my {part}. [I need strong pills|Please give me some pills].",
    ),
    ask=("How long have you had it?", "When did it start?"),
    detail=("It started on {day} after {cause}.", "I have had it since {day}. It came after {cause}."),
    obstacle=(
        "Pills won't help. [You need rest|You must rest].",
        "I won't give you pills. You need a week of rest.",
        "You don't need pills, you need rest.",
    ),
    push=(
        "I can't stay in bed. I have [a lot of work|an important meeting] this week.",
        "But I have to work! [Who will do my job|My boss needs me].",
    ),
    endings=(
        Ending(
            (
                "Then come to the [gym|exercise] class on {day2} at {hour}.",
                "We have a class with exercises on {day2} at {hour}.",
            ),
            ("[Okay|All right], I'll try the class.", "Good, I'll be there."),
            ("{A} will try an exercise class on {day2} at {hour}.", "{A} agrees to join a class on {day2} at {hour}."),
        ),
        Ending(
            (
                "Let me see you again on {day2}, and stay at home until then.",
                "Stay at home until {day2}. Then I'll look at it again.",
            ),
            ("[Fine|All right], I'll stay at home.", "If it must be, I'll rest until {day2}."),
            (
                "{A} will stay at home until {day2}.",
                "{A} agrees to rest until {day2}.",
                "{B} will look at it again on {day2}, and {A} stays at home until then.",
            ),
        ),
        Ending(
            ("That is my advice, and it won't change.", "I can't say anything else."),
            ("Then I'll ask another doctor.", "I don't believe you. I'll see another doctor."),
            ("{A} does not believe {B} and will ask another doctor.", "{A} decides to see another doctor."),
        ),
    ),
    summary=(
        "{A} has had pain in the {part} since {day}. {B} advises rest, but {A} has to work.",
        "{A}'s {part} hurts after {cause}. {A} asks for pills and {B} recommends rest instead.",
        "{A} wants pills because the {part} hurts after {cause}, but {B} says {A} needs rest.",
    ),
    extra=(("Does it hurt here?", "Yes, a little."), ("Do you sleep well?", "Not really, doctor.")),
)

LOST = Scenario(
    name="lost",
    topic=("the lost {item}", "a {item} that {A} lost"),
    facts={
        "item": ("umbrella", "wallet", "phone", "backpack", "scarf", "laptop"),
        "color": ("black", "red", "blue", "green", "yellow", "brown"),
        "line": ("bus", "night train", "tram", "ferry"),
        "day": DAYS,
        "day2": DAYS,
        "price": PRICES,
        "name": NAMES,
    },
    greet=("Lost property office, [good morning|hello].", "[Good afternoon|Hello]. Have you lost something?"),
    want=(
        "[Hello.|] I left my {item} on the {line}. [Has anyone found it|Do you have it]?",
        "I'm looking for my {item}. I forgot it on the {line}.",
    ),
    ask=("What does it look like?", "Can you describe it?"),
    detail=("It is {color}, and I lost it on {day}.", "It's a {color} one. I lost it on {day}."),
    obstacle=(
        "It is here, but I need your passport to give it back.",
        "We have it. But I can't hand it out without a passport.",
        "Yes, it's here. Show me your passport and it's yours.",
    ),
    push=(
        "I don't have my passport with me. [Can't you just give it to me?|But it is mine!]",
        "My passport is at home[, far away|]. I need the {item} today.",
    ),
    endings=(
        Ending(
            ("We keep it until {day2}.", "You can come back with it until {day2}."),
            ("[Okay|All right], I'll bring the passport.", "Then I'll come again."),
            ("{A} will come back with the passport by {day2}.", "{B} keeps it until {day2} and {A} will come again."),
        ),
        Ending(
            (
                "A fee of {price} dollars and a signature will do as well.",
                "You could also pay {price} dollars and sign this form.",
            ),
            ("[Okay|Fine], here is the money.", "I'll pay. Where do I sign?"),
            (
                "{A} pays {price} dollars to get it back.",
                "{A} gets it for a fee of {price} dollars.",
                "In the end, {A} pays {B} {price} dollars and signs a form.",
            ),
        ),
        Ending(
            ("Can someone bring it to you?", "Is there anyone who could bring it?"),
            ("My [friend|cousin] {name} could bring it at once.", "Yes, {name} will bring it."),
            ("{name} will bring it.", "{A} will ask {name} to bring the passport."),
        ),
    ),
    summary=(
        "{A} lost a {color} {item} on the {line}. {B} has it but asks for a passport, which {A} does not have.",
        "{A} wants to get back a {color} {item}, but {B} won't give it out without a passport.",
        "{A} forgot a {item} on the {line} on {day}. {B} needs to see a passport first.",
    ),
    extra=(("Where did you sit?", "Near the door, I think."), ("Was your name on it?", "No, sadly not.")),
)

OFFICES = (FLAT, DOCTOR, LOST)
