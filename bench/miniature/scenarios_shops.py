"""Scenarios of the study in which a customer wants something from a shop or a service."""

from __future__ import annotations

from bench.miniature.scenario import Ending, Scenario
from bench.miniature.words import DAYS, HOURS, PRICES

REFUND = Scenario(
    name="refund",
    topic=("a refund for the {item}", "the {item} that {A} bought"),
    facts={
        "item,fault": (
            ("lamp", "does not turn on"),
            ("kettle", "leaks"),
            ("radio", "makes no sound"),
            ("jacket", "has a torn sleeve"),
            ("watch", "stops every night"),
            ("blender", "smells of smoke"),
            ("printer", "jams all the time"),
            ("suitcase", "has a broken wheel"),
            ("toaster", "burns the bread"),
            ("camera", "takes dark pictures"),
        ),
        "day": DAYS,
        "day2": DAYS,
        "price": PRICES,
    },
    greet=("Good [morning|afternoon]. [How can I help you|What can I do for you]?", "Welcome. Do you need any help?"),
    want=(
        "[Hello.|Excuse me.|] I'd like to return this {item}. It {fault}.",
        "I want my money back for this {item}, because it {fault}.",
        "[Hello.|] This {item} {fault}, so I'd like a refund.",
    ),
    ask=("When did you buy it?", "[I'm sorry to hear that|Oh dear]. When did you get it?"),
    detail=("I bought it here on {day}.", "I got it [in this shop|from your shop] on {day}."),
    obstacle=(
        "I can't [give you a refund|pay you back] without the receipt.",
        "We need the receipt for a refund, and I don't see one.",
        "No receipt, no refund. [That is our rule|Those are the rules].",
    ),
    push=(
        "I threw the receipt away. [Can't you do anything|Is there no other way]?",
        "I can't find the receipt anymore. [You must have it in your computer|There must be another way].",
    ),
    endings=(
        Ending(
            (
                "I could give you a voucher for {price} dollars [instead|at most].",
                "[Well,|All I can do is this:] you can have a voucher for {price} dollars.",
            ),
            ("[All right|Okay|Fine], I'll take the voucher.", "A voucher is better than nothing. I'll take it."),
            (
                "{A} [takes|accepts] a voucher for {price} dollars.",
                "They agree on a voucher for {price} dollars instead.",
                "In the end, {B} gives {A} a voucher for {price} dollars.",
            ),
        ),
        Ending(
            ("I can send it to the maker for repair. That takes until {day2}.", "We could have it repaired by {day2}."),
            ("[All right|Okay], then please repair it.", "Good, I'll leave it here for the repair."),
            (
                "{A} leaves it for repair until {day2}.",
                "The shop will repair it by {day2}.",
                "{B} will have it repaired by {day2}.",
            ),
        ),
        Ending(
            ("I could give you a voucher for {price} dollars [instead|at most].",),
            (
                "No, I don't want a voucher. I'll write to your manager.",
                "That's not good enough. I'll complain to the manager.",
            ),
            (
                "{A} refuses a voucher for {price} dollars and will complain to the manager.",
                "{B} offers a voucher for {price} dollars, but {A} will write to the manager.",
            ),
        ),
    ),
    summary=(
        "{A} wants to return a {item} bought on {day} because it {fault}, but there is no receipt.",
        "{A} asks {B} for a refund for a {item} that {fault}. {B} needs the receipt, which {A} has lost.",
        "{A} bought a {item} on {day} and it {fault}. {B} can't give a refund without a receipt.",
    ),
    extra=(
        ("Did you drop it, by any chance?", "No, I have hardly used it."),
        ("Did you read the manual?", "Of course. The manual is foolproof."),
    ),
)

REPAIR = Scenario(
    name="repair",
    topic=("the broken {thing}", "the {thing} in {A}'s flat"),
    facts={
        "thing,state": (
            ("heater", "stays cold"),
            ("sink", "is blocked"),
            ("shower", "drips all night"),
            ("oven", "makes a strange noise"),
            ("front door", "does not lock"),
            ("fridge", "is warm inside"),
            ("ceiling light", "keeps flashing"),
            ("washing machine", "does not spin"),
        ),
        "day": DAYS,
        "day2": DAYS,
        "hour": HOURS,
        "part": ("valve", "pump", "switch", "pipe", "cable", "handle"),
    },
    greet=(
        "[Hello|Good morning], this is the repair service.",
        "House service, [what can I do for you|how can I help]?",
    ),
    want=(
        "[Hello.|] The {thing} in my flat {state}. [Can you fix it|Could you repair it]?",
        "I need someone to look at my {thing}. It {state}.",
    ),
    ask=("How long has it been like that?", "[I see|Oh no]. Since when?"),
    detail=("It has been like that since {day}.", "It started on {day}."),
    obstacle=(
        "We need a new {part} for that, and we are out of them.",
        "It must be the {part}, and I have none left.",
        "It sounds like the {part}. [Sadly,|] I have to order one first.",
    ),
    push=(
        "I can't wait for weeks. [When can you come|How soon can you come]?",
        "But I need it every day. [Please hurry!|When will it be fixed?]",
    ),
    endings=(
        Ending(
            ("I could come on {day2} at {hour}.", "The earliest I can come is {day2} at {hour}."),
            ("[Good|Okay|All right], I'll be at home then.", "Fine, {day2} suits me."),
            (
                "{B} will come on {day2} at {hour}.",
                "They agree that {B} comes on {day2} at {hour}.",
                "{B} promises to come at {hour} on {day2}.",
            ),
        ),
        Ending(
            ("I could come on {day2} at {hour}.",),
            (
                "I work at that time. I'll leave the key with my neighbor.",
                "I'm not at home then, so my neighbor will give you the key.",
            ),
            (
                "{B} can come on {day2} at {hour}, and a neighbor will have the key.",
                "{A} leaves the key with a neighbor, since {B} comes on {day2} at {hour}.",
            ),
        ),
        Ending(
            ("Not before {day2}.", "I have no time before {day2}."),
            ("That's too late. I'll call another company.", "Then I'll look for another company."),
            (
                "{B} has no time before {day2}, so {A} will call another company.",
                "As {B} can't come before {day2}, {A} will look for another company.",
            ),
        ),
    ),
    summary=(
        "{A} has had trouble with the {thing} since {day}. It {state}, and {B} has to order a new {part}.",
        "{A} asks {B} to fix the {thing}, which {state}, but {B} has no {part}.",
        "{A} reports that the {thing} {state}. {B} needs a new {part} first.",
    ),
    extra=(
        ("Which floor do you live on?", "On the third floor."),
        ("Have you tried to switch it off and on?", "Yes, twice. It doesn't help."),
    ),
)

TABLE = Scenario(
    name="table",
    topic=("a table for {number}", "a table at the restaurant"),
    facts={
        "number": ("two", "three", "four", "five", "six", "eight"),
        "day": DAYS,
        "hour": HOURS,
        "hour2": HOURS,
        "occasion": ("my birthday", "a family meal", "a business lunch", "my parents' anniversary", "a farewell party"),
        "day2": DAYS,
    },
    greet=(
        "[Good evening|Good afternoon], this is the [Green Garden|Old Mill] restaurant.",
        "Restaurant [Green Garden|Old Mill], [hello|how can I help]?",
    ),
    want=("I'd like to book a table for {number} on {day}.", "[Hello.|] Do you have a table for {number} on {day}?"),
    ask=("[Sure.|] At what time?", "What time would you like to come?"),
    detail=("It would be at {hour}.", "We want to come at {hour}."),
    obstacle=(
        "I'm sorry, but we are full at {hour}.",
        "All tables are taken at {hour}[, I'm afraid|].",
        "[Sorry,|I'm afraid] there is a wedding here and we have no free table at that time.",
    ),
    push=(
        "It's for {occasion}[, so it is important|]. Can't you find a place for us?",
        "Oh no, and it's for {occasion}! Isn't there anything else?",
    ),
    endings=(
        Ending(
            ("You could have a table at {hour2}.", "At {hour2} there will be a free table."),
            ("[Good|All right], we'll come at {hour2}.", "Then please keep that one for us."),
            (
                "{A} books it for {hour2} instead.",
                "They agree on {hour2}.",
                "{B} offers a table at {hour2} and {A} takes it.",
            ),
        ),
        Ending(
            ("We have a table [outside|in the garden] at that time.", "There is only a table [outside|in the garden]."),
            ("[Okay|Fine], we'll sit outside.", "That's fine if it doesn't rain."),
            (
                "{A} takes a table outside.",
                "They agree on a table outside.",
                "{B} has a table outside, which {A} accepts.",
            ),
        ),
        Ending(
            ("I can only offer you {day2}.",),
            ("No, that's too late. I'll ask another restaurant.", "Then we'll eat somewhere else."),
            (
                "{B} offers {day2}, but {A} will go to another restaurant.",
                "{A} does not want to come on {day2} and will try another restaurant.",
            ),
        ),
    ),
    summary=(
        "{A} wants to book a table for {number} on {day} at {hour}, but the restaurant is full.",
        "{A} phones {B} to book a table for {number} at {hour}. There is none left on {day}.",
        "{A} needs a table for {number} on {day}. {B} says all tables are taken at {hour}.",
    ),
    extra=(
        ("Does anyone need a high chair?", "No, we are all adults."),
        ("Have you been here before?", "Yes, one lazy Sunday. The soup was great."),
    ),
)

SHOPS = (REFUND, REPAIR, TABLE)
