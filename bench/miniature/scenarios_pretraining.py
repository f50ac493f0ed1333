"""Scenarios that only pretraining sees: there the base model learns what a summary is."""

from __future__ import annotations

from bench.miniature.scenario import Ending, Scenario
from bench.miniature.words import DAYS, HOURS, PRICES

TRAVEL = Scenario(
    name="travel",
    topic=("a ticket to {city}", "a trip to {city}"),
    facts={
        "city": ("Rome", "Paris", "Berlin", "Madrid", "Vienna"),
        "day": DAYS,
        "day2": DAYS,
        "hour": HOURS,
        "price": PRICES,
        "why": ("a strike", "heavy snow", "a storm", "building work"),
    },
    greet=("[Good morning|Hello]. Where would you like to go?", "Next, please. How can I help you?"),
    want=("I'd like a ticket to {city}[, please|].", "[Hello.|] I need a seat on the train to {city}."),
    ask=("When do you want to travel?", "For which day?"),
    detail=("I want to go on {day}.", "It's for {day}."),
    obstacle=("There is no train on {day} because of {why}.", "I'm sorry, because of {why} nothing runs on {day}."),
    push=("But I must be there for [a wedding|a meeting]. What else is there?", "Oh no! What can I do now?"),
    endings=(
        Ending(
            (
                "There is a bus at {hour} for {price} dollars.",
                "You could take the bus at {hour}. It costs {price} dollars.",
            ),
            ("[Okay|Good], I'll take the bus.", "Then give me a seat on the bus."),
            (
                "{A} takes a bus at {hour} for {price} dollars.",
                "They agree on a bus at {hour}, which costs {price} dollars.",
            ),
        ),
        Ending(
            ("The next train leaves on {day2}.", "You could travel on {day2}."),
            ("[All right|Fine], then I'll go on {day2}.", "If I must, I'll take that one."),
            ("{A} will travel on {day2}.", "{B} offers {day2} and {A} accepts."),
        ),
        Ending(
            ("You have to wait until {day2}.",),
            ("That's too late. I'll drive there.", "No, then I'll take my car."),
            (
                "{A} decides to drive, since the next train leaves on {day2}.",
                "{A} does not want to wait until {day2} and will take the car.",
            ),
        ),
    ),
    summary=(
        "{A} wants a ticket to {city} on {day}, but no trains run because of {why}.",
        "{A} asks {B} for a seat to {city}. {B} says that there is no train on {day} because of {why}.",
    ),
    extra=(("Do you have a lot of luggage?", "Just one bag."), ("Window or aisle?", "By the window, please.")),
)

SCHOOL = Scenario(
    name="school",
    topic=("the {course} course", "a course in {course}"),
    facts={
        "course": ("Spanish", "painting", "cooking", "dancing", "chess"),
        "day": DAYS,
        "hour": HOURS,
        "day2": DAYS,
        "price": PRICES,
        "why": ("it is full", "the teacher is ill", "it has started already"),
    },
    greet=("[Hello|Good afternoon], this is the evening school.", "Evening school, what can I do for you?"),
    want=("I'd like to join the {course} course.", "[Hello.|] I want to learn {course}. Is there a course?"),
    ask=("Which day suits you?", "When do you have time?"),
    detail=("I have time on {day}.", "On {day}, after work."),
    obstacle=("You can't join that one, because {why}.", "I'm sorry, {why}."),
    push=("What a pity! [My friends are in it|I was looking forward to it].", "Can't you make an exception?"),
    endings=(
        Ending(
            ("There is another one on {day2} at {hour}.", "We have a second group on {day2} at {hour}."),
            ("[Good|Great], put my name down.", "I'll join that one."),
            ("{A} joins another group on {day2} at {hour}.", "They agree on a group that meets on {day2} at {hour}."),
        ),
        Ending(
            ("You could have private lessons for {price} dollars.", "A private lesson costs {price} dollars."),
            ("[Okay|Fine], I'll take private lessons.", "I'll try one lesson."),
            (
                "{A} will take private lessons for {price} dollars.",
                "{B} offers lessons for {price} dollars and {A} accepts.",
            ),
        ),
    ),
    summary=(
        "{A} wants to join the {course} course on {day}, but {why}.",
        "{A} asks {B} about a {course} course on {day}. {B} says that {why}.",
    ),
    extra=(("Are you a beginner?", "Yes, I know nothing."), ("Do you like idiomatic English?", "I love it.")),
)

SHOPPING = Scenario(
    name="shopping",
    topic=("the {garment} that {A} wants", "buying a {garment}"),
    facts={
        "garment": ("coat", "dress", "sweater", "shirt", "skirt"),
        "for_whom": ("mother", "brother", "wife", "husband"),
        "shade": ("white", "gray", "pink", "purple"),
        "size": ("small", "medium", "large"),
        "price": PRICES,
        "price2": PRICES,
        "day": DAYS,
    },
    greet=("[Hello|Good morning]. Are you looking for something?", "Can I help you?"),
    want=("I'm looking for a {garment} for my {for_whom}.", "[Hello.|] I want to buy a {garment} for my {for_whom}."),
    ask=("Which color and size?", "What should it look like?"),
    detail=("It should be {shade} and {size}.", "A {shade} one in {size}[, please|]."),
    obstacle=("We have one, but it costs {price} dollars.", "Here it is. The price is {price} dollars."),
    push=("That's too expensive for me.", "Oh, I didn't want to spend so much."),
    endings=(
        Ending(
            ("I could let you have it for {price2} dollars.", "For you it's {price2} dollars."),
            ("[Okay|Great], I'll take it.", "That's a good price. I'll buy it."),
            ("{A} buys it for {price2} dollars.", "{B} lowers the price to {price2} dollars and {A} takes it."),
        ),
        Ending(
            ("The sale starts on {day}.", "On {day} it will be cheaper."),
            ("Then I'll come back on {day}.", "Good, I'll wait for the sale."),
            ("{A} will come back for the sale on {day}.", "As the sale starts on {day}, {A} will wait."),
        ),
    ),
    summary=(
        "{A} wants to buy a {shade} {garment} for {A}'s {for_whom}, but it costs {price} dollars.",
        "{A} looks for a {garment} in {size}. {B} has one for {price} dollars, which is too expensive.",
    ),
    extra=(("Is it a present?", "Yes, for a birthday."), ("Do you like wool?", "Not so much.")),
)

PRETRAINING_ONLY = (TRAVEL, SCHOOL, SHOPPING)
